import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldWrites, heldMax } from './held-writes.ts';

test('all that are held are looked after at once, and go on together', async () => {
  let looks = 0;
  let isTaken = false;
  const held = new HeldWrites(() => {
    looks += 1;
    return isTaken;
  });
  const { signal } = new AbortController();
  const waits = Array.from({ length: heldMax }, () => held.wait(60_000, signal));
  assert.ok(held.isFull);
  while (looks < 2) await new Promise(setImmediate);
  isTaken = true;
  await Promise.all(waits);
  assert.ok(looks < heldMax, `${looks} looks`);
  assert.ok(!held.isFull);
});

test('a write is held no longer than its client waits, or than it was said', async () => {
  const held = new HeldWrites(() => false);
  const gone = new AbortController();
  const waiting = held.wait(60_000, gone.signal);
  gone.abort();
  await waiting;
  await held.wait(5, new AbortController().signal);
});
