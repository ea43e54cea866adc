import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AssertionFailure } from '../base/assert.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { emptyPosition } from '../ltx/position.ts';
import { hasCode } from '../sqlite/test-support.ts';
import { Log, type LogLimits } from './log.ts';
import { append, checksumFrom, positionAt, readRecord, txidsAfter, wideLimits } from './test-support.ts';

function openLog(t: TestContext, directory: string, limits: LogLimits = wideLimits): Log {
  const log = new Log(directory, limits);
  t.after(() => log.close());
  return log;
}

/** Segments of 64 KiB, the smallest there are. */
const smallLimits: LogLimits = { retentionMs: 3_600_000, bytesMax: 1 << 19 };
const noise = { pages: 300, fill: 1 };

/** A log of several segments. */
function longLog(t: TestContext, directory: string, records = 40): Log {
  const log = openLog(t, directory, smallLimits);
  log.reset(positionAt(10));
  for (let index = 0; index < records; index += 1) append(log, noise);
  assert.ok(readdirSync(directory).length >= 3, `${readdirSync(directory).length} segments`);
  return log;
}

test('a log that was never given a position is empty and says so', (t) => {
  const log = openLog(t, join(temporaryDirectory(t), 'new', 'log'));
  assert.equal(log.isStarted, false);
  assert.deepEqual([log.base, log.tail], [emptyPosition, emptyPosition]);
  assert.equal(log.find(positionAt(1)), undefined);
  assert.equal(log.lastRecord, undefined);
  assert.throws(() => log.begin(), AssertionFailure);
});

test('what is appended is read back in order, now and after reopening', (t) => {
  const directory = temporaryDirectory(t);
  const log = openLog(t, directory);
  log.reset(positionAt(10));
  const written = [1, 5, 2].map((commits) => append(log, { commits, pages: commits }));
  const check = (opened: Log) => {
    assert.deepEqual([opened.base, opened.tail], [positionAt(10), positionAt(18)]);
    assert.deepEqual(opened.lastRecord, written[2].record);
    let cursor = opened.find(positionAt(10));
    for (const { record, file } of written) {
      assert.ok(cursor);
      const next = opened.next(cursor);
      assert.deepEqual(next?.record, record);
      assert.ok(next && readRecord(next).equals(file));
      cursor = next?.after;
    }
    assert.ok(cursor);
    assert.deepEqual(cursor.position, positionAt(18));
    assert.equal(opened.next(cursor), undefined);
  };
  check(log);
  log.close();
  check(openLog(t, directory));
});

test('a reader at the tail gets the next record once it is there', (t) => {
  const log = longLog(t, temporaryDirectory(t), 30);
  let cursor = log.find(log.tail);
  for (let index = 0; index < 30; index += 1) {
    assert.ok(cursor);
    assert.equal(log.next(cursor), undefined);
    const { record } = append(log, noise);
    const next = log.next(cursor);
    assert.deepEqual(next?.record, record);
    cursor = next?.after;
  }
});

test('only a position where a record ends, or the log begins, is found', (t) => {
  const log = openLog(t, temporaryDirectory(t));
  log.reset(positionAt(10));
  for (const commits of [1, 5, 2]) append(log, { commits });
  for (const n of [10, 11, 16, 18]) assert.ok(log.find(positionAt(n)), `${n}`);
  for (const n of [9, 12, 15, 17, 19, 0]) assert.equal(log.find(positionAt(n)), undefined, `${n}`);
  for (const n of [10, 11, 16, 18]) {
    assert.equal(
      log.find({ txid: positionAt(n).txid, checksum: checksumFrom(99) }),
      undefined,
      `diverged at ${n}`,
    );
  }
});

test('every position is found across segments, with all that follows it', (t) => {
  const directory = temporaryDirectory(t);
  const log = longLog(t, directory);
  const all = Array.from({ length: 40 }, (_, index) => 11 + index);
  for (let n = 10; n <= 50; n += 1) {
    assert.deepEqual(
      txidsAfter(log, positionAt(n)),
      all.filter((txid) => txid > n),
    );
    assert.deepEqual(log.findChecksum(checksumFrom(n)), positionAt(n));
  }
  assert.equal(log.findChecksum(checksumFrom(51)), undefined);
});

test('of two positions with one checksum the newest is found', (t) => {
  const log = openLog(t, temporaryDirectory(t));
  log.reset(positionAt(10));
  append(log);
  append(log, { post: checksumFrom(10) });
  append(log);
  assert.deepEqual(log.findChecksum(checksumFrom(10)), { txid: 12, checksum: checksumFrom(10) });
  assert.deepEqual(log.findChecksum(checksumFrom(11)), positionAt(11));
});

test('a log is cut back to any position that it has, and goes on from there', (t) => {
  for (const n of [10, 11, 23, 37, 50]) {
    const directory = temporaryDirectory(t);
    const log = longLog(t, directory);
    log.truncateAfter(positionAt(n));
    assert.deepEqual(log.tail, positionAt(n));
    append(log, { commits: 3 });
    log.close();
    const reopened = openLog(t, directory, smallLimits);
    assert.deepEqual([reopened.base, reopened.tail], [positionAt(10), positionAt(n + 3)]);
    assert.equal(txidsAfter(reopened, positionAt(10))?.length, n - 10 + 1);
  }
});

test('a new chain replaces the old one whole', (t) => {
  const directory = temporaryDirectory(t);
  const log = longLog(t, directory);
  const old = log.find(positionAt(20));
  log.reset(positionAt(7));
  assert.deepEqual([log.base, log.tail, log.lastRecord], [positionAt(7), positionAt(7), undefined]);
  assert.ok(old);
  assert.throws(() => log.next(old), hasCode('LOG_CORRUPT'));
  append(log);
  log.close();
  assert.equal(readdirSync(directory).length, 1);
  assert.deepEqual(openLog(t, directory).tail, positionAt(8));
});

test('a record that does not follow the tail is a broken invariant', (t) => {
  const log = openLog(t, temporaryDirectory(t));
  log.reset(positionAt(10));
  const { record } = append(log);
  const writer = log.begin();
  writer.write(Buffer.alloc(record.length));
  assert.throws(() => log.commit(writer, record.header, record.postApplyChecksum), AssertionFailure);
  writer.abort();
  assert.deepEqual(append(log).record.header.minTxid, 12);
});

test('the log on the disk is what it says after a wait for it', async (t) => {
  const log = openLog(t, temporaryDirectory(t));
  await log.sync();
  log.reset(positionAt(1));
  append(log);
  await log.sync();
  assert.deepEqual(log.tail, positionAt(2));
});
