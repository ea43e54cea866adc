import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { DatabaseFiles, databaseKind, openDatabaseFiles } from './database-files.ts';
import { hasCode, headerOf, newDatabase, openFiles, pageSizes, SqliteProgram } from './test-support.ts';

const skip = skipWithout('sqlite3');

test('a file is told by its first bytes, and what is no database is refused with what to do', (t) => {
  const directory = temporaryDirectory(t);
  const write = (name: string, bytes: string | Buffer) => writeFileSync(join(directory, name), bytes);
  write('empty', '');
  write('text', 'a,b,c\n1,2,3\n'.repeat(100));
  write('zeros', Buffer.alloc(4096));
  write('noise', randomBytes(8192));
  write('odd-noise', randomBytes(8191));
  new DatabaseSync(join(directory, 'sqlite')).exec('CREATE TABLE t(id)');
  const kinds = ['empty', 'text', 'zeros', 'noise', 'odd-noise', 'sqlite'];
  assert.deepEqual(
    kinds.map((name) => databaseKind(join(directory, name))),
    ['empty', 'other', 'other', 'encrypted', 'other', 'sqlite'],
  );
  const open = (name: string) => () => new DatabaseFiles(join(directory, name), name);
  assert.throws(open('text'), hasCode('DATABASE_NOT_SQLITE'));
  assert.throws(open('noise'), hasCode('DATABASE_ENCRYPTED'));
  assert.throws(() => databaseKind(join(directory, 'missing')), { code: 'ENOENT' });
});

test('a database that is damaged behind a good first page is refused by name', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  writeFileSync(path, Buffer.concat([Buffer.from('SQLite format 3\0'), randomBytes(4080)]));
  assert.throws(() => new DatabaseFiles(path, 'shop.db'), hasCode('DATABASE_NOT_SQLITE'));
  assert.throws(() => new DatabaseFiles(path, 'shop.db'), /shop\.db/);
});

test('a database in another journal mode is brought into WAL mode, at every page size', (t) => {
  const directory = temporaryDirectory(t);
  for (const pageSize of pageSizes) {
    const path = join(directory, `${pageSize}.db`);
    const app = new DatabaseSync(path);
    app.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(v); INSERT INTO t VALUES (42)`);
    app.close();
    const files = openFiles(t, path);
    assert.equal(files.pageSize, pageSize);
    assert.equal(files.databaseBytes(), 2 * pageSize);
    assert.equal(files.walIndex.header()?.pageSize ?? 0, headerOf(files).pageSize);
    assert.equal(files.connection.prepare('SELECT v FROM t').get()?.v, 42);
  }
});

test('the WAL that a killed program left is recovered by opening', { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const program = SqliteProgram.start(t, path);
  await program.run('PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1), (2);');
  await program.run('BEGIN; INSERT INTO t VALUES (3);');
  await program.kill();
  rmSync(`${path}-shm`);
  const files = openFiles(t, path);
  assert.ok(headerOf(files).maxFrame > 0);
  assert.equal(files.connection.prepare('SELECT count(*) AS n FROM t').get()?.n, 2);
});

test('a program that holds the database in an exclusive transaction is told of', { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const program = SqliteProgram.start(t, path);
  await program.run('CREATE TABLE t(v); BEGIN EXCLUSIVE;');
  assert.throws(() => new DatabaseFiles(path, 'a.db'), hasCode('DATABASE_BUSY'));
  await program.run('COMMIT;');
  new DatabaseFiles(path, 'a.db').close();
});

test('opening waits for such a program without holding up the rest of the process', { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const program = SqliteProgram.start(t, path);
  await program.run('CREATE TABLE t(v); BEGIN EXCLUSIVE;');
  let turns = 0;
  const ticking = setInterval(() => {
    turns += 1;
  }, 1);
  await assert.rejects(openDatabaseFiles(path, 'a.db', 200), hasCode('DATABASE_BUSY'));
  clearInterval(ticking);
  assert.ok(turns > 3, `${turns} turns of the event loop`);
  const opening = openDatabaseFiles(path, 'a.db', 20_000);
  let opened = false;
  void opening.then(() => {
    opened = true;
  });
  // Its answer reaches this process only while the event loop runs.
  await program.run('INSERT INTO t VALUES (1);');
  assert.equal(opened, false);
  await program.run('COMMIT;');
  const files = await opening;
  assert.equal(files.connection.prepare('SELECT v FROM t').get()?.v, 1);
  files.close();
});

test('a signal ends the waiting', { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const program = SqliteProgram.start(t, path);
  await program.run('CREATE TABLE t(v); BEGIN EXCLUSIVE;');
  const abort = new AbortController();
  const opening = openDatabaseFiles(path, 'a.db', 60_000, abort.signal);
  abort.abort();
  await assert.rejects(opening, hasCode('DATABASE_BUSY'));
});

test('an opening that fails half way leaves nothing open', (t) => {
  const directory = temporaryDirectory(t);
  newDatabase(t, join(directory, 'target.db')).close();
  // SQLite opens it, and puts the WAL beside the target, where the next step does not look.
  symlinkSync(join(directory, 'target.db'), join(directory, 'a.db'));
  assert.throws(() => new DatabaseFiles(join(directory, 'a.db'), 'a.db'), { code: 'ENOENT' });
  const open = readdirSync('/proc/self/fd').map((file) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`);
    } catch {
      return '';
    }
  });
  assert.deepEqual(
    open.filter((path) => path.startsWith(directory)),
    [],
  );
});

test('no program can leave WAL mode while the files are held, and the files outlive its close', {
  skip,
}, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path).close();
  const files = openFiles(t, path);
  const program = SqliteProgram.start(t, path);
  assert.match(await program.run('PRAGMA journal_mode=DELETE;'), /locked/);
  assert.equal(await program.run('INSERT INTO t VALUES (1, 1); PRAGMA journal_mode;'), 'wal');
  await program.stop();
  assert.ok(existsSync(`${path}-wal`) && existsSync(`${path}-shm`));
  assert.ok(headerOf(files).maxFrame > 0, 'the last close did not checkpoint');
});

test("looking at the file does not let go of SQLite's locks on it", { skip }, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path).close();
  const files = openFiles(t, path);
  assert.equal(files.place(), 'here');
  assert.deepEqual(files.companionsInPlace(), ['-wal', '-shm']);
  assert.ok(files.databaseBytes() > 0 && files.walBytes() >= 0);
  files.tryLock('write');
  files.unlock('write');
  const program = SqliteProgram.start(t, path);
  assert.match(await program.run('PRAGMA journal_mode=DELETE;'), /locked/);
});

test('closing as the last user leaves one complete file, and a second close does nothing', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  app.exec('INSERT INTO t VALUES (1, 1)');
  const files = openFiles(t, path);
  app.close();
  files.close();
  files.close();
  assert.deepEqual([existsSync(`${path}-wal`), existsSync(`${path}-shm`)], [false, false]);
  const reopened = new DatabaseSync(path, { readOnly: true });
  assert.equal(reopened.prepare('SELECT count(*) AS n FROM t').get()?.n, 1);
  reopened.close();
});

test('a file that was deleted or replaced is not the one that is held', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  renameSync(path, join(directory, 'b.db'));
  assert.equal(files.place(), 'gone');
  writeFileSync(path, 'another');
  assert.equal(files.place(), 'replaced');
  renameSync(join(directory, 'b.db'), path);
  assert.equal(files.place(), 'here');
});
