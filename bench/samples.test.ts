import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, percentile, summarize } from './samples.ts';

test('a percentile is the smallest sample that the share of all are not above', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 1), 100);
  assert.equal(percentile(hundred, 0), 1);
  assert.equal(percentile([7], 0.999), 7);
});

test('the median of an even number of samples lies between the middle two', () => {
  assert.equal(median([4, 1, 3]), 3);
  assert.equal(median([10, 1, 2, 3]), 2.5);
});

test('a summary sorts by number, and names the longest', () => {
  const summary = summarize(Float64Array.from([100, 9, 20]));
  assert.deepEqual(summary, { p50: 20, p99: 100, p999: 100, max: 100 });
});

test('samples that are not there are a broken invariant', () => {
  assert.throws(() => percentile([], 0.5));
  assert.throws(() => median([]));
});
