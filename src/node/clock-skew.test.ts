import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockSkew } from './clock-skew.ts';

test('the heartbeat that was least delayed tells how the clocks differ', () => {
  const skew = new ClockSkew();
  assert.equal(skew.ms, 0);
  for (const ms of [-40, -5, -12]) skew.add(ms);
  assert.equal(skew.ms, -5);
});

test('a clock that is set back is believed after a while', () => {
  const skew = new ClockSkew();
  for (let heartbeat = 0; heartbeat < 100; heartbeat += 1) skew.add(heartbeat < 60 ? 5_000 : -2);
  assert.equal(skew.ms, -2);
});
