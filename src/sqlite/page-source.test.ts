import assert from 'node:assert/strict';
import { copyFileSync, ftruncateSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { seededRandom, temporaryDirectory } from '../base/test-support.ts';
import { PageSource } from './page-source.ts';
import {
  hasCode,
  headerOf,
  newDatabase,
  openFiles,
  pageSizes,
  sourcePages,
  sqlitePages,
} from './test-support.ts';
import { frameHeaderBytes, frameOffset } from './wal-format.ts';
import { WalFrames } from './wal-frames.ts';
import type { WalIndexHeader } from './wal-index.ts';

function writeAtRandom(app: DatabaseSync, random: (bound: number) => number, pageSize: number): void {
  const insert = app.prepare('INSERT OR REPLACE INTO t VALUES (?, randomblob(?))');
  app.exec('BEGIN');
  for (let row = 0; row < 5; row += 1) insert.run(random(40), random(pageSize * 3));
  app.prepare('DELETE FROM t WHERE id = ?').run(random(40));
  app.exec('COMMIT');
}

test('every page is the one that SQLite reads, at every page size, whatever is in the file and the WAL', (t) => {
  const directory = temporaryDirectory(t);
  for (const pageSize of pageSizes) {
    const app = newDatabase(t, join(directory, `${pageSize}.db`), pageSize, 'PRAGMA auto_vacuum=FULL');
    const files = openFiles(t, join(directory, `${pageSize}.db`));
    const random = seededRandom(pageSize);
    for (let round = 0; round < 12; round += 1) {
      writeAtRandom(app, random, pageSize);
      if (round % 4 === 2) app.exec('PRAGMA wal_checkpoint(PASSIVE)');
      if (round === 9) app.exec('DELETE FROM t WHERE id > 5');
      const source = new PageSource(files, headerOf(files));
      assert.ok(sourcePages(source).equals(sqlitePages(app)), `page size ${pageSize}, round ${round}`);
    }
  }
});

test('the pages are those of a copy that SQLite has checkpointed, across blocks of the wal-index', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'a.db');
  const app = newDatabase(t, path, 512);
  const files = openFiles(t, path);
  for (let row = 1; row <= 9; row += 1) app.exec(`INSERT INTO t VALUES (${row}, randomblob(500000))`);
  app.exec('DELETE FROM t WHERE id % 3 = 1; UPDATE t SET v = randomblob(300000) WHERE id = 3');
  const index = headerOf(files);
  assert.ok(index.maxFrame > 8_158);
  const copy = join(directory, 'copy.db');
  for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
  const reopened = new DatabaseSync(copy);
  reopened.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  reopened.close();
  assert.ok(sourcePages(new PageSource(files, index)).equals(readFileSync(copy)));
});

test('a state stays readable while the app commits on, until a checkpoint', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path, 1024);
  const files = openFiles(t, path);
  const random = seededRandom(7);
  const states: { index: WalIndexHeader; pages: Buffer }[] = [];
  for (let round = 0; round < 20; round += 1) {
    writeAtRandom(app, random, 1024);
    states.push({ index: headerOf(files), pages: sqlitePages(app) });
  }
  app.exec('DELETE FROM t; VACUUM');
  for (const [round, { index, pages }] of states.entries()) {
    const source = new PageSource(files, index);
    assert.ok(sourcePages(source).equals(pages), `state ${round}`);
    for (const page of [source.commit, 1, Math.ceil(source.commit / 2)]) {
      assert.ok(
        pages.subarray((page - 1) * 1024, page * 1024).equals(source.page(page)),
        `page ${page} alone`,
      );
    }
  }
});

test('a flipped bit in any byte of a frame, or of the checksum before it, is seen', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path, 512);
  const files = openFiles(t, path);
  app.exec('INSERT INTO t VALUES (1, zeroblob(3000))');
  const index = headerOf(files);
  const frames = new WalFrames(files);
  const wal = readFileSync(`${path}-wal`);
  for (const frame of [1, 2, index.maxFrame]) {
    const [page] = files.walIndex.pageNumbers(frame, frame);
    const start = frameOffset(frame, 512);
    const data = wal.subarray(start + frameHeaderBytes, start + frameHeaderBytes + 512);
    assert.ok(data.equals(frames.page(frame, page, index)));
    // The frame itself, and the checksum before it, from which its own goes on.
    const seed = frame === 1 ? start - 8 : start - 512 - 8;
    const offsets = Array.from({ length: frameHeaderBytes + 512 }, (_, byte) => start + byte);
    for (const offset of [seed, seed + 7, ...offsets]) {
      const flipped = Buffer.of(wal[offset] ^ (1 << (offset & 7)));
      writeSync(files.wal, flipped, 0, 1, offset);
      assert.throws(() => frames.page(frame, page, index), hasCode('WAL_CORRUPT'), `byte ${offset}`);
      writeSync(files.wal, wal, offset, 1, offset);
    }
    assert.throws(() => frames.page(frame, page + 1, index), hasCode('WAL_CORRUPT'));
    assert.ok(data.equals(frames.page(frame, page, index)));
  }
});

test('a WAL that is shorter than its index says is refused', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  app.exec('INSERT INTO t VALUES (1, zeroblob(30000))');
  const index = headerOf(files);
  const [page] = files.walIndex.pageNumbers(index.maxFrame, index.maxFrame);
  const wal = readFileSync(`${path}-wal`);
  ftruncateSync(files.wal, files.walBytes() - 1);
  const frames = new WalFrames(files);
  assert.throws(() => frames.page(index.maxFrame, page, index), hasCode('WAL_CORRUPT'));
  writeSync(files.wal, wal, wal.length - 1, 1, wal.length - 1);
  assert.doesNotThrow(() => frames.page(index.maxFrame, page, index));
});

test('frames that end a transaction are counted, and the last one is compared with the index', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  const frames = new WalFrames(files);
  const { maxFrame: before } = headerOf(files);
  for (let row = 0; row < 10; row += 1) app.exec('INSERT INTO t VALUES (NULL, zeroblob(9000))');
  const index = headerOf(files);
  assert.equal(frames.countCommits(before + 1, index.maxFrame), 10);
  assert.equal(frames.commitSize(index.maxFrame), index.pageCount);
  assert.equal(frames.commitSize(index.maxFrame - 1), 0);
  assert.equal(frames.endsAs(index), true);
  assert.equal(frames.endsAs({ ...index, maxFrame: index.maxFrame - 1 }), false);
  assert.equal(frames.header().pageSize, 4096);
});
