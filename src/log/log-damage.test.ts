import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { seededRandom, temporaryDirectory } from '../base/test-support.ts';
import { emptyPosition, type Position } from '../ltx/position.ts';
import { Log } from './log.ts';
import { segmentHeaderBytes } from './segment.ts';
import { append, positionAt, readRecord, txidsAfter, wideLimits } from './test-support.ts';

const limits = { retentionMs: 3_600_000, bytesMax: 1 << 19 };

/** One segment with three records. Returns its path, its bytes and where each record begins; the log is closed. */
function threeRecords(t: TestContext): { directory: string; path: string; bytes: Buffer; starts: number[] } {
  const directory = temporaryDirectory(t);
  const log = new Log(directory, wideLimits);
  log.reset(positionAt(10));
  const starts: number[] = [];
  for (let index = 0; index < 3; index += 1) {
    starts.push(log.bytes);
    append(log);
  }
  log.close();
  const [name] = readdirSync(directory);
  const path = join(directory, name);
  return { directory, path, bytes: readFileSync(path), starts };
}

function reopened<T>(directory: string, look: (log: Log) => T): T {
  const log = new Log(directory, wideLimits);
  try {
    return look(log);
  } finally {
    log.close();
  }
}

function tailOf(directory: string): Position {
  return reopened(directory, (log) => log.tail);
}

test('a file that a crash cut at any byte keeps every record before the cut, and can be written on', (t) => {
  const { directory, path, bytes, starts } = threeRecords(t);
  for (let length = segmentHeaderBytes; length <= bytes.length; length += 1) {
    writeFileSync(path, bytes.subarray(0, length));
    const whole = [...starts.slice(1), bytes.length].filter((end) => end <= length).length;
    reopened(directory, (log) => {
      assert.deepEqual(log.tail, positionAt(10 + whole), `${length} bytes`);
      assert.equal(log.bytes, [...starts, bytes.length][whole]);
      append(log, { fill: 9 });
    });
    assert.deepEqual(tailOf(directory), positionAt(11 + whole));
  }
});

test('a segment without a whole header is left out', (t) => {
  const { directory, path, bytes } = threeRecords(t);
  for (let length = 0; length < segmentHeaderBytes; length += 1) {
    writeFileSync(path, bytes.subarray(0, length));
    assert.deepEqual(tailOf(directory), emptyPosition, `${length} bytes`);
    assert.deepEqual(readdirSync(directory), []);
  }
});

test('a flipped bit anywhere ends the log before the record that it damages', (t) => {
  const { directory, path, bytes, starts } = threeRecords(t);
  const good = reopened(directory, (log) => txidsAfter(log, positionAt(10)));
  assert.deepEqual(good, [11, 12, 13]);
  for (let byte = 0; byte < bytes.length; byte += 1) {
    const damaged = Buffer.from(bytes);
    damaged[byte] ^= 1 << (byte & 7);
    writeFileSync(path, damaged);
    const before = starts.filter((start) => start <= byte).length;
    reopened(directory, (log) => {
      if (before === 0) assert.equal(log.isStarted, false, `byte ${byte}`);
      else if (log.tail.txid !== 13) assert.deepEqual(log.tail, positionAt(9 + before), `byte ${byte}`);
      // Where the record still counts, the bit says the same page in another way, as compressed data may.
      else assert.deepEqual(txidsAfter(log, positionAt(10)), good);
    });
  }
});

test('bytes beyond the last record, of any content, are cut off', (t) => {
  const { directory, path, bytes } = threeRecords(t);
  const random = seededRandom(5);
  const repeated = bytes.subarray(segmentHeaderBytes);
  const tails = [Buffer.alloc(1), Buffer.alloc(5_000), repeated, Buffer.from(repeated).reverse()];
  for (let round = 0; round < 20; round += 1) {
    tails.push(Buffer.from(Array.from({ length: random(300) }, () => random(256))));
  }
  for (const tail of tails) {
    writeFileSync(path, Buffer.concat([bytes, tail]));
    assert.deepEqual(tailOf(directory), positionAt(13));
    assert.ok(readFileSync(path).equals(bytes));
  }
});

/** Several segments, closed. */
function manySegments(t: TestContext): { directory: string; names: string[] } {
  const directory = temporaryDirectory(t);
  const log = new Log(directory, limits);
  log.reset(positionAt(10));
  for (let index = 0; index < 70; index += 1) append(log, { pages: 300 });
  log.close();
  const names = readdirSync(directory).sort();
  assert.ok(names.length >= 4);
  return { directory, names };
}

test('a missing or damaged segment in the middle takes all before it with it, not what comes after', (t) => {
  for (const damage of ['remove', 'header', 'record', 'cut'] as const) {
    const { directory, names } = manySegments(t);
    const path = join(directory, names[1]);
    const bytes = readFileSync(path);
    if (damage === 'remove') rmSync(path);
    else if (damage === 'cut') truncateSync(path, bytes.length - 1);
    else bytes[damage === 'header' ? 20 : segmentHeaderBytes + 3] ^= 1;
    if (damage === 'header' || damage === 'record') writeFileSync(path, bytes);
    reopened(directory, (log) => {
      assert.deepEqual(log.tail, positionAt(80), damage);
      assert.equal(log.base.txid, Number.parseInt(names[2], 16));
      assert.equal(txidsAfter(log, log.base)?.length, 80 - log.base.txid);
    });
    assert.deepEqual(readdirSync(directory).sort(), names.slice(2));
  }
});

test('a newest segment that a crash left without its header takes nothing with it', (t) => {
  const { directory, names } = manySegments(t);
  const path = join(directory, names[names.length - 1]);
  writeFileSync(path, '');
  reopened(directory, (log) => {
    assert.deepEqual(log.base, positionAt(10));
    assert.equal(log.tail.txid, Number.parseInt(names[names.length - 1], 16));
    append(log);
  });
  assert.equal(tailOf(directory).txid, Number.parseInt(names[names.length - 1], 16) + 1);
});

test('a record that was given up leaves no trace, whatever its size', (t) => {
  const directory = temporaryDirectory(t);
  const log = new Log(directory, wideLimits);
  log.reset(positionAt(10));
  append(log);
  const { bytes } = log;
  for (const size of [10, 200_000, 3_000_000]) {
    const writer = log.begin();
    for (let done = 0; done < size; done += 100_000) writer.write(Buffer.alloc(Math.min(size, 100_000), 7));
    writer.abort();
    writer.abort();
    assert.equal(log.bytes, bytes);
    assert.equal(readFileSync(join(directory, readdirSync(directory)[0])).length, bytes);
  }
  const { file, record, segment } = append(log);
  assert.ok(readRecord({ record, segment }).equals(file));
  log.close();
  assert.deepEqual(tailOf(directory), positionAt(12));
});

test('a large record is read back as it was written', (t) => {
  const directory = temporaryDirectory(t);
  const log = new Log(directory, wideLimits);
  log.reset(positionAt(10));
  const { record, segment, file } = append(log, { pages: 20_000, fill: 3 });
  assert.ok(file.length > 1 << 18, `${file.length} bytes`);
  assert.ok(readRecord({ record, segment }).equals(file));
  log.close();
  assert.deepEqual(tailOf(directory), positionAt(11));
});

test('a record that is damaged while the log is open hides what comes after it, and throws nothing', (t) => {
  const { directory, path, bytes, starts } = threeRecords(t);
  const log = new Log(directory, wideLimits);
  t.after(() => log.close());
  const { checksum: last } = log.tail;
  bytes[starts[1]] ^= 0xff;
  writeFileSync(path, bytes);
  assert.deepEqual(log.find(positionAt(11))?.position, positionAt(11));
  assert.equal(log.find(positionAt(12)), undefined);
  assert.deepEqual(log.findChecksum(positionAt(11).checksum), positionAt(11));
  assert.deepEqual(log.findChecksum(last), positionAt(13), 'the end is known without reading');
});
