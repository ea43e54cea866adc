import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from './sleep.ts';

const foreverMs = 600_000;

test('a sleep ends after its time', async () => {
  await sleep(1);
});

test('a sleep ends without an error when its signal aborts, also when that was before', async () => {
  const controller = new AbortController();
  const sleeping = sleep(foreverMs, controller.signal);
  controller.abort();
  assert.equal(await sleeping, undefined);
  assert.equal(await sleep(foreverMs, controller.signal), undefined);
});
