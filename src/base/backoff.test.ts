import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionFailure } from './assert.ts';
import { Backoff } from './backoff.ts';

function assertNear(delayMs: number, wantedMs: number): void {
  assert.ok(
    delayMs >= wantedMs * 0.8 && delayMs <= wantedMs * 1.2,
    `${delayMs} ms is not ${wantedMs} ms ± 20 %`,
  );
}

test('delays double from the first to the longest, each within 20 %', () => {
  const backoff = new Backoff(100, 1000);
  for (const wantedMs of [100, 200, 400, 800, 1000, 1000]) assertNear(backoff.nextMs(), wantedMs);
});

test('after a reset the delays begin again', () => {
  const backoff = new Backoff(100, 1000);
  backoff.nextMs();
  backoff.nextMs();
  backoff.reset();
  assertNear(backoff.nextMs(), 100);
});

test('delays differ, so that peers do not move in step', () => {
  const delays = Array.from({ length: 20 }, () => new Backoff(100, 100).nextMs());
  assert.ok(new Set(delays).size > 1);
});

test('a delay of nothing, or a longest delay below the first, is a fault', () => {
  assert.throws(() => new Backoff(0, 100), AssertionFailure);
  assert.throws(() => new Backoff(200, 100), AssertionFailure);
});
