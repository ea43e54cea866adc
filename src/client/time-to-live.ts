import { BusError } from './bus-error.ts';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const longestMs = 365 * 86_400_000;

/** Milliseconds from a number of them, or a text like `500ms`, `30s`, `5m`, `1h`, `7d`. Throws `USAGE`. */
export function timeToLiveMs(ttl: number | string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(ttl));
  const ms = typeof ttl === 'number' ? ttl : match ? Number(match[1]) * unitMs[match[2]] : Number.NaN;
  if (ms > 0 && ms <= longestMs) return ms;
  throw new BusError(
    'USAGE',
    `ttl: ${JSON.stringify(ttl)} is neither milliseconds nor a text like "30s", "5m" or "1h", of up to a year.`,
  );
}
