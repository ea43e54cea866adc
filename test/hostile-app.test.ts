import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const recycleFrames = 100;
/** The busy timeout of an app that expects to be refused. */
const impatientMs = 200;

async function withLedger(t: TestContext): Promise<{ cluster: TestCluster; path: string }> {
  const cluster = await TestCluster.start(t, {
    environment: { SKEIN_TEST_RECYCLE_FRAMES: String(recycleFrames) },
  });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  return { cluster, path };
}

async function walFrames(node: TestNode): Promise<number> {
  const metrics = await (await node.fetch('/metrics')).text();
  const found = /^skein_database_wal_frames{.*database="app\.db".*} (\d+)$/m.exec(metrics);
  return Number(found?.[1]);
}

for (const language of ['python', 'node'] as const) {
  test(`an app (${language}) that tries to leave WAL mode gets SQLite's own error, on both sides`, {
    skip,
  }, async (t) => {
    const { cluster, path } = await withLedger(t);
    const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
    for (const node of cluster.nodes) {
      const app = new SqlConnection(t, node.path('app.db'), language, impatientMs);
      for (const mode of ['DELETE', 'TRUNCATE', 'PERSIST', 'MEMORY', 'OFF']) {
        const error = await app.error(`PRAGMA journal_mode=${mode}`);
        assert.ok(error === undefined || error === 'SQLITE_BUSY', `${mode} on ${node.name}: ${error}`);
        assert.equal(await app.value('PRAGMA journal_mode'), 'wal', `${mode} on ${node.name}`);
      }
      await app.close();
    }
    await writer.commits(20);
    await writer.stop();
    await assertInStep(cluster);
  });
}

test('an app that runs every kind of checkpoint in a loop loses nothing and stops nobody', {
  skip,
}, async (t) => {
  const { cluster, path } = await withLedger(t);
  const writers = [
    new LedgerWriter(t, 'python', path, 'python', 1),
    new LedgerWriter(t, 'node', path, 'node', 1),
  ];
  const apps = [
    new SqlConnection(t, path, 'python', impatientMs),
    new SqlConnection(t, path, 'node', impatientMs),
  ];
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  for (let round = 0; round < 10; round += 1) {
    for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
      // SQLite's own answer: (1, …) when it could not, or SQLITE_BUSY.
      await Promise.all(apps.map((app) => app.error(`PRAGMA wal_checkpoint(${mode})`)));
    }
    await Promise.all(writers.map((writer) => writer.commits(20)));
  }
  for (const writer of writers) await writer.stop();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
  for (const node of cluster.nodes) await assertNothingLost(node.path('app.db'), writers);
});

test('an app that asks for locking_mode=EXCLUSIVE gets no lock that stops replication', {
  skip,
}, async (t) => {
  const { cluster, path } = await withLedger(t);
  const app = new SqlConnection(t, path, 'python', impatientMs);
  await app.run('PRAGMA locking_mode=EXCLUSIVE');
  const first = await app.error("INSERT INTO entry (writer, number, note) VALUES ('exclusive', 1, x'00')");
  assert.ok(first === undefined || first === 'SQLITE_BUSY', String(first));
  if (first === undefined) await app.run('UPDATE counter SET value = value + 1');
  await assertInStep(cluster);
  await app.close();
  const writer = new LedgerWriter(t, 'node', path, 'writer');
  await writer.commits(500);
  await writer.stop();
  await assertInStep(cluster);
});

test('a new connection in EXCLUSIVE mode on a replica cannot write and harms nobody', { skip }, async (t) => {
  const { cluster, path } = await withLedger(t);
  const app = new SqlConnection(t, cluster.replica.path('app.db'), 'python', impatientMs);
  await app.run('PRAGMA locking_mode=EXCLUSIVE');
  assert.equal(await app.error('UPDATE counter SET value = 7'), 'SQLITE_BUSY');
  const writer = new LedgerWriter(t, 'node', path, 'writer');
  await writer.commits(300);
  await writer.stop();
  await app.kill();
  await assertInStep(cluster);
});

test('a write transaction that is held open is not seen before its commit, and holds up nothing after', {
  skip,
}, async (t) => {
  const { cluster, path } = await withLedger(t);
  const app = new SqlConnection(t, path);
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  await writer.commits(300);
  await app.run('BEGIN IMMEDIATE');
  await app.run("INSERT INTO entry (writer, number, note) VALUES ('slow', 1, x'00')");
  await app.run('UPDATE counter SET value = value + 1');
  const before = writer.confirmed;
  // Long enough that a recycle is due and is held up.
  await delay(3_000);
  assert.ok(writer.confirmed <= before + 1, 'nobody else writes meanwhile');
  const slow = "SELECT count(*) FROM entry WHERE writer = 'slow'";
  assert.equal(await sqlite3(cluster.replica.path('app.db'), slow), '0');
  await app.run('COMMIT');
  await writer.commits(300);
  await writer.stop();
  await app.close();
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), slow), '1');
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

for (const whose of ['primary', 'replica'] as const) {
  test(`a reader that holds a snapshot on the ${whose} keeps it, the WAL grows, and is short again after`, {
    skip,
  }, async (t) => {
    const { cluster, path } = await withLedger(t);
    const node = cluster[whose];
    const app = new SqlConnection(t, node.path('app.db'));
    const writer = new LedgerWriter(t, 'node', path, 'writer');
    await writer.commits(200);
    await app.run('BEGIN');
    const held = await app.value('SELECT value FROM counter');
    const seen = node.lines.length;
    await node.line(/the WAL could not be recycled/, seen);
    await waitFor('the WAL to grow', async () => (await walFrames(node)) > 20 * recycleFrames);
    assert.equal(await app.value('SELECT value FROM counter'), held, 'the snapshot stands still');
    assert.equal(await app.value('PRAGMA integrity_check'), 'ok');
    await app.run('COMMIT');
    await waitFor('the WAL to be short again', async () => (await walFrames(node)) < 5 * recycleFrames);
    await writer.stop();
    await assertInStep(cluster);
    await app.close();
    await assertNothingLost(node.path('app.db'), [writer]);
  });
}

test('a large transaction that spills and is rolled back right after a restart of the WAL leaves nothing behind', {
  skip,
}, async (t) => {
  const { cluster, path } = await withLedger(t);
  const app = new SqlConnection(t, path);
  await app.run('PRAGMA cache_size=10');
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  for (let round = 0; round < 5; round += 1) {
    // Enough for a recycle, so that the next writer restarts the WAL.
    for (let count = 0; count < 8; count += 1)
      await app.run('INSERT INTO big (body) VALUES (randomblob(60000))');
    await cluster.waitInStep();
    await app.run('BEGIN');
    await app.run(
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO big (body) SELECT randomblob(2000) FROM n',
    );
    await app.run('UPDATE big SET body = randomblob(3000)');
    await app.run('ROLLBACK');
    await app.run('INSERT INTO big (body) VALUES (randomblob(100))');
  }
  assert.equal(await app.value('SELECT count(*) FROM big'), 45);
  await app.run('BEGIN');
  await app.run('UPDATE big SET body = randomblob(9000)');
  // It dies in the middle of a transaction that has frames in the WAL already.
  await app.kill();
  const writer = new LedgerWriter(t, 'python', path, 'writer');
  await writer.commits(200);
  await writer.stop();
  await assertInStep(cluster);
  await waitFor('the primary to run on', () => cluster.primary.pid !== undefined);
});
