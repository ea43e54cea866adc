import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { seededRandom, temporaryDirectory } from '../base/test-support.ts';
import { positionsEqual, txid } from '../ltx/position.ts';
import { Log } from './log.ts';
import { append, positionAt, wideLimits } from './test-support.ts';

const max = 64;

function emptyLog(t: TestContext, bytesMax = wideLimits.bytesMax): Log {
  const log = new Log(temporaryDirectory(t), { ...wideLimits, bytesMax });
  t.after(() => log.close());
  return log;
}

test('a log that was never started has no positions, and a new one has its base', (t) => {
  const log = emptyLog(t);
  assert.deepEqual(log.recentPositions(max), []);
  log.reset(positionAt(9));
  assert.deepEqual(log.recentPositions(max), [positionAt(9)]);
  assert.deepEqual(log.recentPositions(max, txid(8)), []);
});

test('positions come newest first, the last 32 without a gap, and the base with them', (t) => {
  const log = emptyLog(t);
  log.reset(positionAt(5));
  for (let index = 0; index < 100; index += 1) append(log, { commits: 2 });
  const positions = log.recentPositions(max).map((position) => position.txid);
  assert.deepEqual(
    positions.slice(0, 32),
    Array.from({ length: 32 }, (_, index) => 205 - 2 * index),
  );
  assert.equal(positions.at(-1), 5);
  // A TXID in the middle of a record belongs to the position before it.
  assert.equal(log.recentPositions(max, txid(100))[0].txid, 99);
});

test('in a long log they are few, all of them are found, and the base and the newest are there', (t) => {
  const random = seededRandom(3);
  const log = emptyLog(t, 1 << 20);
  log.reset(positionAt(1));
  for (let index = 0; index < 400; index += 1) append(log, { pages: 1 + random(600) });
  for (const upTo of [log.tail.txid, txid(200), txid(37), txid(2), txid(1)]) {
    const positions = log.recentPositions(max, upTo);
    assert.ok(positions.length <= max);
    assert.equal(positions[0].txid, upTo);
    assert.ok(positionsEqual(positions[positions.length - 1], log.base));
    for (const [index, position] of positions.entries()) {
      assert.ok(log.find(position), `${position.txid}`);
      if (index > 0) assert.ok(position.txid < positions[index - 1].txid);
    }
  }
});
