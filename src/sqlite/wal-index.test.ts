import assert from 'node:assert/strict';
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { temporaryDirectory } from '../base/test-support.ts';
import { headerOf, newDatabase, openFiles, pageSizes } from './test-support.ts';
import { decodeWalHeader, frameOffset } from './wal-format.ts';
import {
  blockOfFrame,
  decodeWalIndexHeader,
  encodeWalIndexHeader,
  frameBeforeBlock,
  framesInBlock,
  hashSlot,
  hashTableOffset,
  pageNumberOffset,
  type WalIndexHeader,
  walIndexHeaderBytes,
} from './wal-index.ts';

test('a frame lies in the block, and at the place in it, that the file format gives', () => {
  assert.deepEqual(blockOfFrame(1), { block: 0, index: 1 });
  assert.deepEqual(blockOfFrame(4062), { block: 0, index: 4062 });
  assert.deepEqual(blockOfFrame(4063), { block: 1, index: 1 });
  assert.deepEqual(blockOfFrame(8158), { block: 1, index: 4096 });
  assert.deepEqual(blockOfFrame(8159), { block: 2, index: 1 });
  for (let frame = 1; frame < 30_000; frame += 1) {
    const { block, index } = blockOfFrame(frame);
    assert.equal(frameBeforeBlock(block) + index, frame);
    assert.ok(index <= framesInBlock(block));
  }
});

test('any header survives being written and read', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const someHeader = fc.record({
    change: word,
    bigEndian: fc.boolean(),
    pageSize: fc.constantFrom(...pageSizes),
    maxFrame: word,
    pageCount: word,
    frameChecksum: fc.tuple(word, word).map(([first, second]) => ({ first, second })),
    salt1: word,
    salt2: word,
  });
  fc.assert(
    fc.property(someHeader, fc.constantFrom(0, walIndexHeaderBytes), (header, offset) => {
      const bytes = Buffer.from(new ArrayBuffer(2 * walIndexHeaderBytes));
      encodeWalIndexHeader(header, bytes, offset);
      assert.deepEqual(decodeWalIndexHeader(bytes, offset), { ...header });
    }),
  );
});

test("the header says what SQLite's WAL file says, at every page size", (t) => {
  const directory = temporaryDirectory(t);
  for (const pageSize of pageSizes) {
    const path = join(directory, `${pageSize}.db`);
    const app = newDatabase(t, path, pageSize);
    const files = openFiles(t, path);
    const before = headerOf(files);
    app.exec('INSERT INTO t VALUES (1, zeroblob(100000))');
    const index = headerOf(files);
    const wal = readFileSync(`${path}-wal`);
    const header = decodeWalHeader(wal);
    assert.equal(index.pageSize, pageSize);
    assert.equal(index.change, before.change + 1);
    assert.equal(index.pageCount, app.prepare('PRAGMA page_count').get()?.page_count);
    assert.deepEqual([index.salt1, index.salt2], [header.salt1, header.salt2]);
    const lastFrame = frameOffset(index.maxFrame, pageSize);
    assert.equal(wal.readUInt32BE(lastFrame + 4), index.pageCount);
    assert.equal(wal.readUInt32BE(lastFrame + 16), index.frameChecksum.first);
    assert.equal(wal.readUInt32BE(lastFrame + 20), index.frameChecksum.second);
    assert.equal(wal.length, frameOffset(index.maxFrame + 1, pageSize));
    assert.equal(files.walIndex.backfilled(), 0);
  }
});

test('page numbers are those of the frames, and the hash tables find them, across blocks', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path, 512);
  const files = openFiles(t, path);
  for (let row = 1; row <= 9; row += 1) {
    app.prepare('INSERT INTO t VALUES (?, zeroblob(500000))').run(row);
  }
  const { maxFrame } = headerOf(files);
  assert.ok(maxFrame > 8_158 + 100, `${maxFrame} frames reach into a third block`);
  const wal = readFileSync(`${path}-wal`);
  const shm = readFileSync(`${path}-shm`);
  const numbers = files.walIndex.pageNumbers(1, maxFrame);
  for (let frame = 1; frame <= maxFrame; frame += 1) {
    assert.equal(numbers[frame - 1], wal.readUInt32BE(frameOffset(frame, 512)), `frame ${frame}`);
    const { block, index } = blockOfFrame(frame);
    assert.equal(shm.readUInt32LE(pageNumberOffset(block, index)), numbers[frame - 1]);
    const slotAt = (slot: number) => shm.readUInt16LE(hashTableOffset(block) + slot * 2);
    let slot = hashSlot(numbers[frame - 1]);
    while (slotAt(slot) !== 0 && slotAt(slot) !== index) slot = (slot + 1) & 8191;
    assert.equal(slotAt(slot), index, `the entry of frame ${frame}`);
  }
  for (const [from, to] of [
    [4_000, 4_100],
    [4_062, 4_063],
    [4_063, 8_159],
    [8_158, 8_158],
  ]) {
    assert.deepEqual(files.walIndex.pageNumbers(from, to), numbers.slice(from - 1, to));
  }
});

test('there is no header while the two copies differ, and none that is damaged', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  const header = headerOf(files);
  const next: WalIndexHeader = { ...header, change: header.change + 1 };
  const copy = Buffer.from(new ArrayBuffer(walIndexHeaderBytes));
  encodeWalIndexHeader(next, copy, 0);
  writeSync(files.shm, copy, 0, copy.length, walIndexHeaderBytes);
  assert.equal(files.walIndex.header(), undefined);
  assert.deepEqual(files.walIndex.copies(), { first: header, second: next });
  writeSync(files.shm, copy, 0, copy.length, 0);
  assert.deepEqual(files.walIndex.header(), next);
  copy[16] ^= 1;
  for (const offset of [0, walIndexHeaderBytes]) writeSync(files.shm, copy, 0, copy.length, offset);
  assert.equal(files.walIndex.header(), undefined);
  assert.deepEqual(files.walIndex.copies(), { first: undefined, second: undefined });
});

test('the count of frames that a checkpoint has moved is read', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  app.exec('PRAGMA wal_checkpoint(PASSIVE)');
  assert.equal(files.walIndex.backfilled(), headerOf(files).maxFrame);
});
