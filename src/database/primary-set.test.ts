import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { hasCode } from '../sqlite/test-support.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import { PrimarySet } from './primary-set.ts';
import { TestNode } from './test-support.ts';

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
    dropped: (name) => events.emit('dropped', name),
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
  assert.equal(database.commits, 2_000);
});

test('a file that is no database is a problem with a reason, and the others go on', async (t) => {
  const node = new TestNode(t);
  create(t, node.file('good.db'));
  const { set, events } = await startSet(t, node);
  writeFileSync(node.file('text.db'), 'a,b\n'.repeat(2_000));
  await set.scan();
  assert.deepEqual([...set.problems().keys()], ['text.db']);
  assert.match(set.problems().get('text.db') ?? '', /not an SQLite database/);
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
