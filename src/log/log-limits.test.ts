import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { txid } from '../ltx/position.ts';
import { hasCode } from '../sqlite/test-support.ts';
import { Log, type LogLimits } from './log.ts';
import { append, positionAt, txidsAfter } from './test-support.ts';

const longAgoMs = Date.now() - 3_600_000;

/** Records of many equal pages; segments of 64 KiB. */
function filledLog(t: TestContext, limits: LogLimits, timestampMs: number): { log: Log; directory: string } {
  const directory = temporaryDirectory(t);
  const log = new Log(directory, limits);
  t.after(() => log.close());
  log.reset(positionAt(1));
  for (let index = 0; index < 60; index += 1) append(log, { pages: 300, timestampMs });
  return { log, directory };
}

function segmentCount(directory: string): number {
  return readdirSync(directory).length;
}

test('the size of the log is that of its files', (t) => {
  const { log, directory } = filledLog(t, { retentionMs: 1, bytesMax: 1 << 19 }, Date.now());
  const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  assert.equal(
    log.bytes,
    sizes.reduce((sum, size) => sum + size, 0),
  );
});

test('old segments go once nobody needs them, but never the newest', (t) => {
  const { log, directory } = filledLog(t, { retentionMs: 60_000, bytesMax: 1 << 19 }, longAgoMs);
  const before = segmentCount(directory);
  assert.ok(before >= 4, `${before} segments`);
  assert.equal(log.enforceLimits(undefined), before - 1);
  assert.equal(segmentCount(directory), 1);
  assert.deepEqual(log.tail, positionAt(61));
  assert.equal(log.find(positionAt(1)), undefined);
  assert.deepEqual(txidsAfter(log, log.base)?.at(-1), 61);
  assert.equal(log.enforceLimits(undefined), 0);
});

test('a segment that a connected replica still needs stays, however old', (t) => {
  const { log } = filledLog(t, { retentionMs: 60_000, bytesMax: 1 << 19 }, longAgoMs);
  assert.equal(log.enforceLimits(txid(1)), 0);
  assert.ok(log.enforceLimits(txid(41)) > 0);
  assert.equal(txidsAfter(log, positionAt(41))?.length, 20);
});

test('young segments stay within the budget of bytes', (t) => {
  const { log } = filledLog(t, { retentionMs: 60_000, bytesMax: 1 << 19 }, Date.now());
  assert.equal(log.enforceLimits(undefined), 0);
});

test('over the budget of bytes the oldest goes, whoever needs it, and its reader is told', (t) => {
  const { log, directory } = filledLog(t, { retentionMs: 3_600_000, bytesMax: 100_000 }, Date.now());
  const slow = log.find(positionAt(1));
  assert.ok(slow && log.bytes > 100_000);
  assert.ok(log.enforceLimits(txid(1)) > 0);
  assert.ok(log.bytes <= 100_000 || segmentCount(directory) === 1);
  assert.throws(() => log.next(slow), hasCode('LOG_CORRUPT'));
  assert.equal(log.find(positionAt(1)), undefined);
});

test('on a full disk all but the newest segment is given back, and the chain goes on', (t) => {
  const { log, directory } = filledLog(t, { retentionMs: 3_600_000, bytesMax: 1 << 19 }, Date.now());
  assert.ok(log.dropAllButNewest() > 0);
  assert.equal(segmentCount(directory), 1);
  append(log);
  assert.deepEqual(log.tail, positionAt(62));
});
