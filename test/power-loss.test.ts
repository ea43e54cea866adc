import assert from 'node:assert/strict';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');

/**
 * A primary whose database files are those of an earlier moment, as a power cut leaves them when the app does not wait
 * for the disk; its log and its replica have what came after.
 */
async function setBack(t: TestContext): Promise<TestCluster> {
  const cluster = await TestCluster.start(t, { environment: { SKEIN_TEST_BOOT_ID: 'before' } });
  const path = cluster.primary.path('app.db');
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE t (id INTEGER PRIMARY KEY)');
  await app.run('INSERT INTO t VALUES (1)');
  await cluster.waitInStep();
  for (const suffix of ['', '-wal']) copyFileSync(path + suffix, `${path}${suffix}.earlier`);
  for (let id = 2; id <= 20; id += 1) await app.run(`INSERT INTO t VALUES (${id})`);
  await cluster.waitInStep();
  await cluster.primary.kill();
  await app.close();
  for (const suffix of ['-shm', '-wal']) rmSync(path + suffix, { force: true });
  for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}.earlier`, path + suffix);
  return cluster;
}

test('after a power cut the primary gets back from its log what SQLite had not brought to the disk', {
  skip,
}, async (t) => {
  const cluster = await setBack(t);
  await cluster.primary.start({ SKEIN_TEST_BOOT_ID: 'after' });
  await cluster.primary.line(/transactions were put back from the log/);
  assert.equal(await sqlite3(cluster.primary.path('app.db'), 'SELECT count(*) FROM t'), '20');
  await assertInStep(cluster);
  assert.equal(existsSync(cluster.replica.path('.skein/lost')), false);
});

test('without a power cut an earlier state is what somebody put there: nothing is put back', {
  skip,
}, async (t) => {
  const cluster = await setBack(t);
  await cluster.primary.start({ SKEIN_TEST_BOOT_ID: 'before' });
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.primary.path('app.db'), 'SELECT count(*) FROM t'), '1');
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM t'), '1');
});
