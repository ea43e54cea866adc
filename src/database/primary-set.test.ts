import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { existsSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { hasCode, SqliteProgram } from '../sqlite/test-support.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import { PrimarySet } from './primary-set.ts';
import { TestNode } from './test-support.ts';

const skip = skipWithout('sqlite3');

/** A started set with its events: `added`, `dropped` and `advanced`, each with the database's name. */
async function startSet(t: TestContext, node: TestNode): Promise<{ set: PrimarySet; events: EventEmitter }> {
  const set = new PrimarySet(node.context, node.directory);
  const events = new EventEmitter();
  set.addListener({
    added: (database: PrimaryDatabase) => {
      database.addListener({
        advanced: () => events.emit('advanced', database.name),
        restarted: () => undefined,
      });
      events.emit('added', database.name);
    },
    dropped: (name) => {
      events.emit('dropped', name);
      return true;
    },
  });
  t.after(() => set.stop());
  await set.start();
  return { set, events };
}

function create(t: TestContext, path: string): DatabaseSync {
  const app = new DatabaseSync(path);
  t.after(() => app.isOpen && app.close());
  app.exec('PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)');
  return app;
}

test('databases that are there at the start are captured, and so is every commit, by itself', async (t) => {
  const node = new TestNode(t);
  const app = create(t, node.file('a.db'));
  const { set, events } = await startSet(t, node);
  const [database] = set.all();
  assert.equal(database?.name, 'a.db');
  for (let index = 0; index < 5; index += 1) {
    const advanced = once(events, 'advanced');
    app.exec('INSERT INTO t VALUES (2)');
    await advanced;
  }
  assert.equal(database.position.txid, 6);
});

test('a database that the app makes later is found, and one that it deletes is let go', async (t) => {
  const node = new TestNode(t);
  const { set, events } = await startSet(t, node);
  const added = once(events, 'added');
  const app = create(t, node.file('new.db'));
  assert.deepEqual(await added, ['new.db']);
  app.exec('INSERT INTO t VALUES (3)');
  app.close();
  const dropped = once(events, 'dropped');
  for (const suffix of ['', '-wal', '-shm']) rmSync(node.file('new.db') + suffix, { force: true });
  assert.deepEqual(await dropped, ['new.db']);
  assert.equal(set.get('new.db'), undefined);
  assert.deepEqual(node.directory.loggedNames(), []);
  assert.equal(existsSync(`${node.file('new.db')}-pos`), false);
  const again = once(events, 'added');
  create(t, node.file('new.db'));
  assert.deepEqual(await again, ['new.db']);
});

test('a burst of commits is captured to the last', async (t) => {
  const node = new TestNode(t);
  const app = create(t, node.file('a.db'));
  const { set, events } = await startSet(t, node);
  const [database] = set.all();
  for (let index = 0; index < 2_000; index += 1) {
    app.exec('INSERT INTO t VALUES (2)');
    if (index % 50 === 0) await new Promise(setImmediate);
  }
  while (database.position.txid < 2_001) await once(events, 'advanced');
  assert.equal(database.position.txid, 2_001);
});

test('a file that is no database is a problem with a reason, and the others go on', async (t) => {
  const node = new TestNode(t);
  create(t, node.file('good.db'));
  const { set, events } = await startSet(t, node);
  writeFileSync(node.file('text.db'), 'a,b\n'.repeat(2_000));
  await set.scan();
  assert.deepEqual([...set.problems().keys()], ['text.db']);
  assert.match(set.problems().get('text.db') ?? '', /not an SQLite database/);
  assert.deepEqual(node.directory.loggedNames(), ['good.db'], 'it never was a database of this node');
  assert.deepEqual(
    set.all().map(({ name }) => name),
    ['good.db'],
  );
  const added = once(events, 'added');
  rmSync(node.file('text.db'));
  await set.scan();
  assert.equal(set.problems().size, 0);
  create(t, node.file('text.db'));
  assert.deepEqual(await added, ['text.db']);
});

test('a start with a file that is no database fails and names it', async (t) => {
  const node = new TestNode(t);
  writeFileSync(node.file('text.db'), 'a,b\n'.repeat(2_000));
  await assert.rejects(startSet(t, node), hasCode('DATABASE_NOT_SQLITE'));
});

test('a start waits for a program that holds a database, and captures it then', { skip }, async (t) => {
  const node = new TestNode(t);
  const program = SqliteProgram.start(t, node.file('a.db'));
  await program.run('CREATE TABLE t(v); BEGIN EXCLUSIVE;');
  const starting = startSet(t, node);
  await program.run('INSERT INTO t VALUES (1); COMMIT;');
  const { set } = await starting;
  assert.deepEqual(
    set.all().map(({ name }) => name),
    ['a.db'],
  );
  assert.equal(set.problems().size, 0);
});

test('a name that leads to nothing for a moment is no deletion', async (t) => {
  const node = new TestNode(t);
  const app = create(t, node.file('a.db'));
  const { set, events } = await startSet(t, node);
  events.on('dropped', () => assert.fail('dropped'));
  renameSync(node.file('a.db'), node.file('a'));
  await set.scan();
  await set.scan();
  renameSync(node.file('a'), node.file('a.db'));
  await set.scan();
  const advanced = once(events, 'advanced');
  app.exec('INSERT INTO t VALUES (2)');
  await advanced;
  assert.equal(set.get('a.db')?.position.txid, 2);
});

test('a file that cannot be looked at is taken to be there, and said once', async (t) => {
  const node = new TestNode(t);
  create(t, node.file('a.db'));
  const { set } = await startSet(t, node);
  const database = set.get('a.db');
  assert.ok(database);
  const denied = Object.assign(new Error('EACCES: permission denied, lstat'), { code: 'EACCES' });
  Object.assign(database.files, {
    place: () => {
      throw denied;
    },
  });
  for (let round = 0; round < 3; round += 1) await set.scan();
  assert.equal(set.get('a.db'), database);
  assert.deepEqual(node.directory.loggedNames(), ['a.db']);
  assert.equal(node.notices.filter((line) => line.includes('cannot be looked at')).length, 1);
});

test('a file that is put in place of another is captured alone, without what the old WAL has', async (t) => {
  const node = new TestNode(t);
  const old = create(t, node.file('a.db'));
  const { set, events } = await startSet(t, node);
  old.exec("INSERT INTO t VALUES ('old')");
  const fresh = create(t, join(temporaryDirectory(t), 'fresh.db'));
  fresh.exec("PRAGMA journal_mode=DELETE; UPDATE t SET v = 'new'");
  const from = fresh.location();
  fresh.close();
  assert.ok(from);
  const [dropped, added] = [once(events, 'dropped'), once(events, 'added')];
  renameSync(from, node.file('a.db'));
  await dropped;
  await added;
  const opened = new DatabaseSync(node.file('a.db'));
  t.after(() => opened.close());
  assert.deepEqual(
    opened
      .prepare('SELECT v FROM t')
      .all()
      .map(({ v }) => v),
    ['new'],
  );
  assert.equal(opened.prepare('PRAGMA integrity_check').get()?.integrity_check, 'ok');
  assert.ok(readdirSync(join(node.directory.hidden, 'lost')).includes('a.db-replaced-wal'));
  const txidBefore = set.get('a.db')?.position.txid ?? 0;
  const advanced = once(events, 'advanced');
  opened.exec("INSERT INTO t VALUES ('more')");
  await advanced;
  assert.equal(set.get('a.db')?.position.txid, txidBefore + 1);
  old.exec("INSERT INTO t VALUES ('to nowhere')");
  assert.equal(opened.prepare('SELECT count(*) AS n FROM t').get()?.n, 2);
});

test('a directory that cannot be looked through ends nothing, and is said once', async (t) => {
  const node = new TestNode(t);
  const { set } = await startSet(t, node);
  const { databaseNames } = node.directory;
  Object.assign(node.directory, {
    databaseNames: () => {
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    },
  });
  for (let round = 0; round < 3; round += 1) await set.scan();
  assert.equal(node.notices.filter((line) => line.includes('cannot be looked through')).length, 1);
  Object.assign(node.directory, { databaseNames });
  create(t, node.file('a.db'));
  await set.scan();
  assert.ok(set.get('a.db'));
});

test('a scan that is asked for during another one sees what came in between', async (t) => {
  const node = new TestNode(t);
  const { set } = await startSet(t, node);
  const first = set.scan();
  create(t, node.file('a.db'));
  await set.scan();
  assert.ok(set.get('a.db'));
  await first;
});

test('what a program has let go of is found by a look for all, not only when its time has come', {
  skip,
}, async (t) => {
  const node = new TestNode(t);
  const { set } = await startSet(t, node);
  const program = SqliteProgram.start(t, node.file('a.db'));
  await program.run('CREATE TABLE t(v); BEGIN EXCLUSIVE;');
  // Refused so often that its next try is a second away and more.
  for (let tries = 0; tries < 4; tries += 1) await set.scan('all');
  assert.equal(set.problems().size, 1);
  await program.run('COMMIT;');
  void set.scan();
  await set.scan('all');
  assert.ok(set.get('a.db'));
});

test('a symbolic link is left out with one warning', async (t) => {
  const node = new TestNode(t);
  create(t, node.file('a.db'));
  symlinkSync(node.file('a.db'), node.file('link.db'));
  const { set } = await startSet(t, node);
  await set.scan();
  assert.deepEqual(
    set.all().map(({ name }) => name),
    ['a.db'],
  );
  assert.equal(set.problems().size, 0);
  assert.equal(node.notices.filter((line) => line.includes('symbolic link')).length, 1);
});

test('a database that is made anew under a name begins above all that the one before it had', async (t) => {
  const node = new TestNode(t);
  create(t, node.file()).exec('INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)');
  const { set, events } = await startSet(t, node);
  const before = set.get('a.db')?.position.txid ?? 0;
  const dropped = once(events, 'dropped');
  for (const suffix of ['', '-wal', '-shm']) rmSync(node.file() + suffix);
  await set.scan();
  await dropped;
  const added = once(events, 'added');
  create(t, node.file());
  await set.scan();
  await added;
  assert.ok((set.get('a.db')?.position.txid ?? 0) > before);
});
