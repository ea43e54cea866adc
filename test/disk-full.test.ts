import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { canMount, SmallDisk } from './support/small-disk.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = canMount() || skipWithout('python3') || skipWithout('sqlite3');
const diskBytes = 24 * 2 ** 20;

/** The disk's hook is registered before the cluster's: what is registered last runs first. */
async function withSmallDisk(
  t: TestContext,
  whose: 'primary' | 'replica1',
): Promise<{ cluster: TestCluster; disk: SmallDisk }> {
  const disk = new SmallDisk(t, diskBytes);
  const nodes = { [whose]: { databases: join(disk.path, 'data') } };
  const environment = { SKEIN_LOG_BYTES_MAX: '2MiB', SKEIN_TEST_RECYCLE_FRAMES: '200' };
  const cluster = await TestCluster.start(t, { nodes, environment });
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  return { cluster, disk };
}

test("an app whose disk fills up gets SQLite's own error, reads go on, and all is well when there is space again", {
  skip,
}, async (t) => {
  const { cluster, disk } = await withSmallDisk(t, 'primary');
  const path = cluster.primary.path('app.db');
  const readers = cluster.nodes.map((node) => new LedgerReader(t, 'python', node.path('app.db')));
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  await assertInStep(cluster);
  disk.fill(300_000);
  let committed = 0;
  // Until SQLite itself has no room for the app's next transaction.
  for (; committed < 500; committed += 1) {
    const error = await app.error('INSERT INTO big (body) VALUES (randomblob(20000))');
    if (error === undefined) continue;
    assert.match(error, /FULL|IOERR/);
    break;
  }
  assert.ok(committed < 500, 'the disk is full at some time');
  assert.ok(cluster.primary.pid, `the node still runs\n${cluster.primary.tail()}`);
  assert.equal(await app.value('SELECT count(*) FROM big'), committed);
  assert.equal((await cluster.primary.fetch('/status')).status, 200);
  disk.free();
  await app.run('INSERT INTO big (body) VALUES (randomblob(20000))');
  await assertInStep(cluster);
  for (const node of cluster.nodes) {
    assert.equal(await sqlite3(node.path('app.db'), 'SELECT count(*) FROM big'), String(committed + 1));
  }
  for (const reader of readers) assert.ok((await reader.stop()) > 0);
});

test('a primary whose log has no room says so in the log, in the status and in its health', {
  skip,
}, async (t) => {
  const { cluster, disk } = await withSmallDisk(t, 'primary');
  const path = cluster.primary.path('app.db');
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  await app.run('BEGIN');
  await app.run('INSERT INTO big (body) VALUES (randomblob(5000000))');
  await app.run('ROLLBACK');
  await assertInStep(cluster);
  // The WAL file has grown by the transaction that was rolled back or spilled; what comes next fits there and not in the log.
  disk.fill(5_500_000);
  const error = await app.error('INSERT INTO big (body) VALUES (randomblob(5000000))');
  assert.equal(error, undefined);
  await cluster.primary.line(/the database cannot be captured.*DISK_FULL/);
  const health = await cluster.primary.fetch('/health');
  assert.equal(health.status, 503);
  assert.match((await cluster.primary.state()).databases['app.db'].problem ?? '', /disk is full/i);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM big'), '0');
  disk.free();
  await cluster.primary.line(/the database is captured again/);
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM big'), '1');
  assert.equal((await cluster.primary.fetch('/health')).status, 200);
});

test("a replica's full disk is said, its readers read on, and it catches up when there is space again", {
  skip,
}, async (t) => {
  const { cluster, disk } = await withSmallDisk(t, 'replica1');
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  await writer.commits(100);
  const seen = cluster.replica.lines.length;
  disk.fill(0);
  await cluster.replica.line(/ENOSPC|no space|disk is full/i, seen);
  await writer.commits(200);
  assert.ok(cluster.replica.pid, `the node still runs\n${cluster.replica.tail()}`);
  assert.equal((await cluster.replica.fetch('/status')).status, 200);
  const before = (await cluster.replica.state()).databases['app.db'].txid;
  disk.free();
  await waitFor(
    'the replica to go on',
    async () => (await cluster.replica.state()).databases['app.db'].txid > before,
    {
      state: () => cluster.replica.tail(),
    },
  );
  await writer.stop();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
  await waitFor('.primary to be there again', () => existsSync(cluster.replica.path('.primary')));
});

test('a first sync that finds no room leaves no half database behind, and succeeds when there is room', {
  skip,
}, async (t) => {
  const disk = new SmallDisk(t, diskBytes);
  const cluster = await TestCluster.create(t, {
    nodes: { replica1: { databases: join(disk.path, 'data') } },
  });
  await cluster.primary.start();
  await sqlite3(
    cluster.primary.path('app.db'),
    'CREATE TABLE t (x)',
    'INSERT INTO t VALUES (randomblob(8000000))',
  );
  disk.fill(4_000_000);
  await cluster.replica.start();
  await cluster.replica.line(/ENOSPC|no space|disk is full/i);
  assert.deepEqual((await cluster.replica.state()).databases, {});
  disk.free();
  await assertInStep(cluster);
});
