import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { assertInStep, sqlite3 } from '../support/checks.ts';
import { SqlConnection } from '../support/sql-connection.ts';
import { TestCluster } from '../support/test-cluster.ts';
import { skipWithout } from '../tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const lockByte = 0x4000_0000;
const stepTimeoutMs = 120_000;

for (const pageSize of [4096, 65536]) {
  test(`a database of pages of ${pageSize} bytes replicates across the lock page at 1 GiB, both ways`, {
    skip,
  }, async (t) => {
    const cluster = await TestCluster.create(t);
    const path = cluster.primary.path('app.db');
    await cluster.primary.start();
    const app = new SqlConnection(t, path, 'node');
    await app.run(`PRAGMA page_size=${pageSize}`);
    await app.run('PRAGMA auto_vacuum=FULL');
    await app.run('PRAGMA journal_mode=WAL');
    await app.run('CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)');
    // Just below, in a few transactions.
    for (let count = 0; count < 4; count += 1)
      await app.run('INSERT INTO t (body) VALUES (zeroblob(260000000))');
    await cluster.replica.start();
    await cluster.waitInStep(stepTimeoutMs);
    // Across it, while the replica follows.
    for (let count = 0; count < 12; count += 1)
      await app.run('INSERT INTO t (body) VALUES (randomblob(5000000))');
    await assertInStep(cluster, stepTimeoutMs);
    assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM t'), '16');
    for (const node of cluster.nodes) await sqlite3(node.path('app.db'), 'PRAGMA wal_checkpoint(PASSIVE)');
    assert.ok(Number(await app.value('PRAGMA page_count')) * pageSize > lockByte);
    // And back.
    await app.run('DELETE FROM t WHERE id > 3');
    await app.run('UPDATE t SET body = randomblob(1000) WHERE id = 1');
    await app.close();
    await assertInStep(cluster, stepTimeoutMs);
    assert.ok(statSync(path).size > 0);
    // Without its log the replica compares every page.
    await cluster.replica.stop();
    rmSync(cluster.replica.path('.skein/log/app.db'), { recursive: true });
    await cluster.replica.start();
    await assertInStep(cluster, stepTimeoutMs);
  });
}
