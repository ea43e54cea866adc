import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDurationMs } from './duration.ts';

test('a duration is read from units, several units, and plain seconds', () => {
  const cases: [number | string, number][] = [
    ['300ms', 300],
    ['5s', 5000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['0s', 0],
    ['120', 120_000],
    [5, 5000],
    [0.5, 500],
  ];
  for (const [given, ms] of cases) assert.equal(parseDurationMs(given), ms, String(given));
});

test('what is no duration is refused', () => {
  for (const given of [
    '',
    '5 s',
    '5x',
    's',
    '-5s',
    '1e3s',
    '5s!',
    Number.NaN,
    -1,
    Number.POSITIVE_INFINITY,
  ]) {
    assert.equal(parseDurationMs(given), undefined, String(given));
  }
});

test('the text of a duration means the same duration', () => {
  assert.equal(formatDuration(300_000), '5m');
  assert.equal(formatDuration(90_000), '90s');
  fc.assert(fc.property(fc.nat(2 ** 31), (ms) => parseDurationMs(formatDuration(ms)) === ms));
});
