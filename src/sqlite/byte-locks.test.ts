import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { platformByteLocks, readerLockCount } from './byte-locks.ts';
import { newDatabase, openFiles, SqliteProgram } from './test-support.ts';

const skip = skipWithout('sqlite3');

test('two open files conflict on the same byte, and only on it, in one process too', (t) => {
  const path = join(temporaryDirectory(t), 'locks');
  const locks = platformByteLocks();
  const one = openSync(path, 'a+');
  const two = openSync(path, 'a+');
  assert.equal(locks.tryExclusive(one, 120), true);
  assert.equal(locks.tryExclusive(one, 120), true, 'the owner may take it again');
  assert.equal(locks.tryExclusive(two, 120), false);
  assert.equal(locks.tryExclusive(two, 121), true);
  assert.equal(locks.tryExclusive(two, 119, 3), false);
  locks.unlock(one, 120);
  assert.equal(locks.tryExclusive(two, 120), true);
  closeSync(two);
  assert.equal(locks.tryExclusive(one, 120, 2), true, 'closing lets go');
  closeSync(one);
});

test('WRITE is refused while SQLite writes, and SQLite while it is held, in this process', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  app.exec('PRAGMA busy_timeout=0; BEGIN IMMEDIATE');
  assert.equal(files.tryLock('write'), false);
  app.exec('ROLLBACK');
  assert.equal(files.tryLock('write'), true);
  assert.throws(() => app.exec('INSERT INTO t VALUES (1, 1)'), /locked/);
  assert.equal(app.prepare('SELECT count(*) AS n FROM t').get()?.n, 0, 'reads go on');
  files.unlock('write');
  app.exec('INSERT INTO t VALUES (1, 1)');
});

test('WRITE is refused while SQLite writes, and SQLite while it is held, in another process', {
  skip,
}, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  const program = SqliteProgram.start(t, path);
  await program.run('BEGIN IMMEDIATE;');
  assert.equal(files.tryLock('write'), false);
  await program.run('COMMIT;');
  assert.equal(files.tryLock('write'), true);
  assert.match(await program.run('INSERT INTO t VALUES (1, 1);'), /locked/);
  assert.equal(await program.run('SELECT count(*) FROM t;'), '0');
  files.unlock('write');
  assert.equal(await program.run('INSERT INTO t VALUES (1, 1); SELECT count(*) FROM t;'), '1');
});

test('while CKPT is held no program can checkpoint, and so the WAL keeps every frame', {
  skip,
}, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  assert.equal(files.tryLock('checkpoint'), true);
  const program = SqliteProgram.start(t, path);
  const walBytes = () => files.walBytes();
  await program.run('PRAGMA wal_autocheckpoint=1;');
  for (let row = 0; row < 5; row += 1) {
    const before = walBytes();
    assert.equal(await program.run('INSERT INTO t VALUES (NULL, randomblob(5000));'), '');
    assert.ok(walBytes() > before, 'the automatic checkpoint fails without a word');
  }
  for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
    assert.match(await program.run(`PRAGMA wal_checkpoint(${mode});`), /^1\|/, mode);
  }
  assert.equal(files.walIndex.backfilled(), 0);
  files.unlock('checkpoint');
  assert.match(await program.run('PRAGMA wal_checkpoint(PASSIVE);'), /^0\|(\d+)\|\1$/);
});

test('the reader locks are free exactly when no program reads the WAL', { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  const program = SqliteProgram.start(t, path);
  await program.run('BEGIN; SELECT count(*) FROM t;');
  assert.equal(files.tryLock('read1', readerLockCount), false);
  await program.run('COMMIT;');
  assert.equal(files.tryLock('read1', readerLockCount), true);
  files.unlock('read1', readerLockCount);
});

test('the locks end with the files, and SQLite writes again', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  assert.equal(files.tryLock('write') && files.tryLock('checkpoint'), true);
  files.close();
  app.exec('INSERT INTO t VALUES (1, 1)');
  const later = new DatabaseSync(path);
  assert.equal(later.prepare('PRAGMA wal_checkpoint(PASSIVE)').get()?.busy, 0);
  later.close();
});
