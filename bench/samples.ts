import { assert } from '../src/base/assert.ts';

/** What a run of samples comes down to. */
export type Summary = {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
};

/** The smallest sample that `share` (0 to 1) of all are not above. Takes samples in rising order. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  assert(sorted.length > 0, 'a percentile needs a sample');
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** The middle sample, or the mean of the middle two. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  assert(sorted.length > 0, 'a median needs a sample');
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Sorts the samples in place. */
export function summarize(samples: Float64Array): Summary {
  samples.sort();
  return {
    p50: percentile(samples, 0.5),
    p99: percentile(samples, 0.99),
    p999: percentile(samples, 0.999),
    max: samples[samples.length - 1],
  };
}
