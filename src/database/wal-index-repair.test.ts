import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { headerOf, newDatabase, openFiles, SqliteProgram } from '../sqlite/test-support.ts';
import { encodeWalIndexHeader, type WalIndexHeader, walIndexHeaderBytes } from '../sqlite/wal-index.ts';
import { TestNode } from './test-support.ts';
import { repairWalIndexHeader } from './wal-index-repair.ts';

function start(t: TestContext) {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  const before = headerOf(files);
  app.exec('INSERT INTO t VALUES (1, 1)');
  return { path, app, files, before, after: headerOf(files) };
}

/** Copy 0 or 1 of the header; undefined writes noise, as of a copy that was being written. */
function writeCopy(files: DatabaseFiles, copy: 0 | 1, header: WalIndexHeader | undefined): void {
  const bytes = Buffer.alloc(walIndexHeaderBytes, 0x5a);
  if (header) encodeWalIndexHeader(header, bytes, 0);
  writeSync(files.shm, bytes, 0, bytes.length, copy * walIndexHeaderBytes);
}

test('a writer that died between the two copies has committed: the second copy holds', async (t) => {
  for (const torn of [false, true]) {
    const { files, app, before, after } = start(t);
    writeCopy(files, 0, torn ? undefined : before);
    assert.equal(files.walIndex.header(), undefined);
    assert.deepEqual(await repairWalIndexHeader(files), after);
    assert.deepEqual(files.walIndex.header(), after);
    assert.equal(app.prepare('SELECT count(*) AS n FROM t').get()?.n, 1);
    app.exec('INSERT INTO t VALUES (2, 2)');
  }
});

test('a writer that died within the second copy has not committed: the first holds', async (t) => {
  const { files, app, before } = start(t);
  writeCopy(files, 0, before);
  writeCopy(files, 1, undefined);
  assert.deepEqual(await repairWalIndexHeader(files), before);
  assert.deepEqual(files.walIndex.header(), before);
  assert.equal(app.prepare('SELECT count(*) AS n FROM t').get()?.n, 0);
});

test('a header that is whole is left alone, and one with no valid copy is not made up', async (t) => {
  const { files, after } = start(t);
  assert.deepEqual(await repairWalIndexHeader(files), after);
  writeCopy(files, 0, undefined);
  writeCopy(files, 1, undefined);
  assert.equal(await repairWalIndexHeader(files), undefined);
});

test('nothing is mended while a writer lives: it finishes by itself', {
  skip: skipWithout('sqlite3'),
}, async (t) => {
  const { path, files, before, after } = start(t);
  const writer = SqliteProgram.start(t, path);
  await writer.run('BEGIN IMMEDIATE;');
  writeCopy(files, 0, before);
  const repair = repairWalIndexHeader(files);
  writeCopy(files, 0, after);
  assert.deepEqual(await repair, after);
  await writer.run('COMMIT;');
});

test('a caller that holds WRITE keeps it, any other gives it back', async (t) => {
  const { files, app, before } = start(t);
  for (const held of [true, false]) {
    if (held) assert.ok(files.tryLock('write'));
    writeCopy(files, 0, before);
    await repairWalIndexHeader(files);
    if (held) {
      assert.throws(() => app.exec('INSERT INTO t VALUES (2, 2)'), /locked/);
      files.unlock('write');
    }
    app.exec('INSERT INTO t VALUES (NULL, 3)');
  }
});

test('a primary that finds a half-written header captures the commit that it stands for', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const before = headerOf(primary.files);
  app.exec('INSERT INTO t VALUES (1, 1)');
  writeCopy(primary.files, 0, before);
  assert.equal(await primary.capture(), 1);
  assert.equal(primary.position.txid, 2);
});

test('a repair that began before a fence leaves the fence its lock', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const before = headerOf(primary.files);
  app.exec('INSERT INTO t VALUES (1, 1)');
  writeCopy(primary.files, 0, before);
  const captured = primary.capture();
  assert.ok(await primary.fence(1_000));
  await captured;
  assert.ok(primary.files.holds('write'));
  assert.throws(() => app.exec('PRAGMA busy_timeout=0; INSERT INTO t VALUES (2, 2)'), /locked/);
  primary.unfence();
  app.exec('INSERT INTO t VALUES (2, 2)');
});
