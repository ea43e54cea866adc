import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareStamps, HybridClock } from './hybrid-clock.ts';

test('stamps rise, also when the wall clock stands still or is set back', () => {
  let wallMs = 1_000;
  const clock = new HybridClock('a', () => wallMs);
  let last = clock.next();
  for (const ms of [1_000, 1_000, 400, 2_000, 1_999]) {
    wallMs = ms;
    const next = clock.next();
    assert.ok(compareStamps(next, last) > 0);
    last = next;
  }
});

test('what is written after something was seen is newer than that, however wrong the clocks are', () => {
  const ahead = new HybridClock('z', () => 9_000_000);
  const behind = new HybridClock('a', () => 1_000);
  const seen = ahead.next();
  behind.observe(seen);
  assert.ok(compareStamps(behind.next(), seen) > 0);
});

test('a clock that is more than a day ahead moves no other, and what is stamped by it neither', () => {
  const dayMs = 86_400_000;
  const clock = new HybridClock('a', () => 1_000);
  clock.hear(2 ** 53 - 2);
  clock.observe([2 ** 53 - 2, 3, 'liar']);
  assert.deepEqual([clock.nowMs, clock.next()], [1_000, [1_000, 0, 'a']]);
  for (let count = 0; count < 3; count += 1) clock.hear(clock.nowMs + dayMs);
  assert.equal(clock.nowMs, 1_000 + dayMs, 'nor bit by bit');
});

test('a clock that is behind runs with one that it hears of', () => {
  let wallMs = 1_000;
  const behind = new HybridClock('a', () => wallMs);
  behind.hear(61_000);
  wallMs += 500;
  assert.equal(behind.next()[0], 61_500);
  behind.hear(1_000);
  assert.equal(behind.nowMs, 61_500);
});
