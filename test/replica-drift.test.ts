import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const execute = promisify(execFile);
const skein = resolve(import.meta.dirname, '../bin/skein');
const skip = skipWithout('python3') || skipWithout('sqlite3');

/** The busy timeout of an app that expects to be refused. */
const impatientMs = 200;
const budgetBytes = 2 ** 20;
/** Beyond the budget, the newest segment stays as long as it grows: an eighth of it, and a record. */
const segmentBytes = 2 ** 20;

/** Limits are enforced every few seconds. */
async function logWithin(node: TestNode, bytesMax: number): Promise<void> {
  let bytes = 0;
  await waitFor(
    `the log of ${node.name} to be at most ${bytesMax} bytes`,
    async () => {
      bytes = (await node.state()).databases['app.db'].logBytes;
      return bytes <= bytesMax;
    },
    { state: () => `it has ${bytes}` },
  );
}

/** What `skein lost` prints, beside the node that runs. */
async function lostVerb(node: TestNode, ...words: string[]): Promise<string> {
  const { stdout } = await execute(skein, ['lost', ...words, `--database-dir=${node.databases}`]);
  return stdout;
}

async function ledgerIsThere(node: TestNode): Promise<boolean> {
  return Number((await node.state()).databases['app.db']?.txid ?? 0) > 0;
}

test('a replica that was gone for longer than the log reaches gets the pages that differ', {
  skip,
}, async (t) => {
  const environment = { SKEIN_LOG_BYTES_MAX: '1MiB', SKEIN_TEST_RECYCLE_FRAMES: '200' };
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  await cluster.replica.stop();
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  for (let round = 0; round < 12; round += 1) {
    await app.run('INSERT INTO big (body) VALUES (randomblob(400000))');
    // One capture each, so that the log has records to drop.
    await cluster.primary.fetch('/wait', { method: 'POST', body: JSON.stringify({ database: 'app.db' }) });
  }
  await logWithin(cluster.primary, budgetBytes + segmentBytes);
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  await writer.commits(20);
  const seen = cluster.primary.lines.length;
  await cluster.replica.start();
  await cluster.primary.line(/sending a database.*the pages that differ/, seen);
  await writer.commits(20);
  await writer.stop();
  await app.close();
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

test('a log stays below its byte budget though a replica is slow to come', { skip }, async (t) => {
  const environment = { SKEIN_LOG_BYTES_MAX: '1MiB', SKEIN_TEST_RECYCLE_FRAMES: '200' };
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  for (let round = 0; round < 40; round += 1)
    await app.run('INSERT INTO big (body) VALUES (randomblob(200000))');
  await assertInStep(cluster);
  // The newest segment stays, and one capture may have taken many of those transactions: the next begins a new one.
  await app.run('INSERT INTO big (body) VALUES (1)');
  await assertInStep(cluster);
  for (const node of cluster.nodes) await logWithin(node, budgetBytes + segmentBytes);
});

test('a replica whose file was changed behind its back while it was stopped is reported and mended', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { replicas: 2 });
  createLedger(cluster.primary.path('app.db'));
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  await writer.commits(30);
  await cluster.replica.line(/connected to the primary/);
  await waitFor('the replica to have the ledger', () => ledgerIsThere(cluster.replica));
  await cluster.replica.stop();
  const stray = cluster.replica.path('app.db');
  await sqlite3(
    stray,
    'CREATE TABLE stray (x); INSERT INTO stray VALUES (1); UPDATE counter SET value = 999999',
  );
  await writer.commits(30);
  const seen = cluster.replica.lines.length;
  await cluster.replica.start();
  await cluster.replica.line(/this copy is not what its log says/, seen);
  await writer.stop();
  await assertInStep(cluster);
  assert.equal(await sqlite3(stray, "SELECT count(*) FROM sqlite_schema WHERE name = 'stray'"), '0');
});

test('a database that was made on a replica while it was stopped goes away or is replaced, as the primary has it', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t);
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  await cluster.replica.stop();
  await sqlite3(cluster.replica.path('both.db'), 'CREATE TABLE mine (x)');
  await sqlite3(
    cluster.primary.path('both.db'),
    'PRAGMA page_size=8192; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)',
  );
  await cluster.replica.start();
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.replica.path('both.db'), 'SELECT x FROM theirs'), '1');
});

test('an app that writes on a replica is refused with SQLITE_BUSY, and nothing changes', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t);
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  const before = await cluster.waitInStep();
  for (const language of ['python', 'node'] as const) {
    const app = new SqlConnection(t, cluster.replica.path('app.db'), language, impatientMs);
    assert.equal(await app.error('UPDATE counter SET value = 5'), 'SQLITE_BUSY', language);
    assert.equal(await app.error('BEGIN IMMEDIATE'), 'SQLITE_BUSY', language);
    assert.equal(await app.error('CREATE TABLE mine (x)'), 'SQLITE_BUSY', language);
    assert.equal(await app.error('VACUUM'), 'SQLITE_BUSY', language);
    // It reads on over the same connection.
    assert.equal(await app.value('SELECT value FROM counter'), 0);
    await app.close();
  }
  assert.deepEqual(await cluster.waitInStep(), before);
  const writer = new LedgerWriter(t, 'python', cluster.primary.path('app.db'), 'writer');
  await writer.commits(50);
  await writer.stop();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
});

test('an app that checkpoints on a replica changes nothing and loses nothing', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { environment: { SKEIN_TEST_RECYCLE_FRAMES: '100' } });
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  const app = new SqlConnection(t, cluster.replica.path('app.db'), 'python', impatientMs);
  const reader = new LedgerReader(t, 'python', cluster.replica.path('app.db'));
  for (let round = 0; round < 12; round += 1) {
    for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
      // The answer is SQLite's own: (1, …) or SQLITE_BUSY when it could not, which an app has to expect at any time.
      await app.error(`PRAGMA wal_checkpoint(${mode})`);
    }
    await writer.commits(5);
  }
  await writer.stop();
  await app.close();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
  assert.ok(statSync(cluster.replica.path('app.db-wal')).size > 0);
});

test('what an app writes on a replica whose node was killed is undone and reported, under its open connection', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment: { SKEIN_TEST_RECYCLE_FRAMES: '100' } });
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  const app = new SqlConnection(t, cluster.replica.path('app.db'), 'python', impatientMs);
  for (const last of ['PRAGMA wal_checkpoint(TRUNCATE)', 'SELECT 1']) {
    await writer.commits(50);
    await waitFor('the replica to have the ledger', () => ledgerIsThere(cluster.replica));
    await app.run('SELECT * FROM counter');
    await cluster.replica.kill();
    await app.run('CREATE TABLE mine (body)');
    await app.run('INSERT INTO mine VALUES (randomblob(50000))');
    await app.run('UPDATE counter SET value = 1000000');
    await app.run(last);
    const seen = cluster.replica.lines.length;
    await cluster.replica.start();
    await cluster.replica.line(/this copy is not what its log says/, seen);
    await waitFor(
      'the stray table to be gone',
      async () => (await app.error('SELECT * FROM mine')) !== undefined,
    );
    assert.equal(await app.error('UPDATE counter SET value = 0'), 'SQLITE_BUSY');
  }
  await writer.stop();
  await app.close();
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

test('a database that the primary deleted while a replica was away is kept there, and told', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t);
  for (const name of ['kept.db', 'gone.db']) createLedger(cluster.primary.path(name));
  await cluster.waitInStep();
  await cluster.replica.stop();
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(cluster.primary.path(`gone.db${suffix}`), { force: true });
  await waitFor(
    'the primary to see it',
    async () => !('gone.db' in (await cluster.primary.state()).databases),
  );
  await cluster.replica.start();
  // A primary that lost its disk would look the same, so this is for a person to decide.
  await waitFor('the replica to tell', async () => {
    const { databases } = await cluster.replica.state();
    return /does not have this database/.test(databases['gone.db']?.problem ?? '');
  });
  assert.equal((await cluster.replica.fetch('/health')).status, 503);
  assert.equal(await sqlite3(cluster.replica.path('gone.db'), 'PRAGMA integrity_check'), 'ok');
  await sqlite3(cluster.primary.path('kept.db'), 'UPDATE counter SET value = 77');
  await waitFor('the other database to go on', async () => {
    return (await sqlite3(cluster.replica.path('kept.db'), 'SELECT value FROM counter')) === '77';
  });
});

test("a primary that comes back with an older copy does not take the replica's newer state without a trace", {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t);
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  const old = join(cluster.directory, 'old.copy');
  await sqlite3(path, `.backup '${old}'`);
  const writer = new LedgerWriter(t, 'node', path, 'writer');
  await writer.commits(50);
  await writer.stop();
  await cluster.waitInStep();
  await cluster.primary.stop();
  for (const suffix of ['-wal', '-shm', '-pos']) rmSync(path + suffix, { force: true });
  rmSync(cluster.primary.path('.skein'), { recursive: true });
  renameSync(old, path);
  const seen = cluster.replica.lines.length;
  await cluster.primary.start();
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM entry'), '0');
  const told = await cluster.replica.line(/this node's state was kept/, seen);
  const id = /entry=(\S+)/.exec(told)?.[1] ?? '';
  const verb = (...words: string[]) => lostVerb(cluster.replica, ...words);
  const listed: { entries: { id: string; isRangeCertain: boolean }[] } = JSON.parse(
    await verb('list', '--json'),
  );
  assert.deepEqual(
    listed.entries.map((entry) => entry.id),
    [id],
  );
  const copy = join(cluster.directory, 'lost.db');
  await verb('export', id, copy);
  assert.equal(await sqlite3(copy, 'PRAGMA integrity_check'), 'ok');
  await assertNothingLost(copy, [writer]);
  // Beside the node that runs; applied on the primary, everybody has it again.
  const file = join(cluster.directory, 'lost.sql');
  writeFileSync(file, await verb('show', id));
  await sqlite3(path, `.read '${file}'`);
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});
