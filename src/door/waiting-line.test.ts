import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WaitingLine } from './waiting-line.ts';

const never = new AbortController().signal;

test('what comes is handed to who has waited longest, and to nobody twice', async () => {
  const line = new WaitingLine<number>(10);
  const found = [line.wait(5_000, never), line.wait(5_000, never)];
  assert.deepEqual([line.hand(1), line.hand(2), line.hand(3)], [true, true, false]);
  assert.deepEqual(await Promise.all(found), [1, 2]);
  assert.equal(line.length, 0);
});

test('who waits for too long, or not any more, gets nothing, and takes it from nobody', async () => {
  const line = new WaitingLine<number>(10);
  const leaving = new AbortController();
  const gone = line.wait(5_000, leaving.signal);
  const late = line.wait(1, never);
  const last = line.wait(5_000, never);
  leaving.abort();
  assert.deepEqual([await gone, await late], [undefined, undefined]);
  assert.ok(line.hand(1));
  assert.equal(await last, 1);
  assert.equal(await line.wait(5_000, leaving.signal), undefined);
});

test('a line that is long enough takes nobody, and one that ends sends everybody away', async () => {
  const line = new WaitingLine<number>(1);
  const first = line.wait(5_000, never);
  assert.equal(await line.wait(5_000, never), undefined);
  line.end();
  assert.equal(await first, undefined);
});
