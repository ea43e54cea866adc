import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pins } from './pins.ts';

test('nobody is waited for while nothing is taken', async () => {
  const pins = new Pins();
  await pins.none;
  pins.take()();
  await pins.none;
  assert.equal(pins.isTaken, false);
});

test('the last to give back is told, once, and only then nobody is left', async () => {
  const pins = new Pins();
  const told: string[] = [];
  const first = pins.take(() => told.push('first'));
  const second = pins.take(() => told.push('second'));
  let isOver = false;
  const over = pins.none.then(() => {
    isOver = true;
  });
  second();
  second();
  await new Promise(setImmediate);
  assert.deepEqual([pins.isTaken, isOver, told], [true, false, []]);
  first();
  await over;
  assert.deepEqual([pins.isTaken, told], [false, ['first']]);
});
