import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep, sqlite3 } from '../support/checks.ts';
import { assertNothingLost, createLedger, LedgerWriter } from '../support/ledger.ts';
import { SqlConnection } from '../support/sql-connection.ts';
import { TestCluster } from '../support/test-cluster.ts';
import { skipWithout } from '../tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const minuteMs = 60_000;

async function withLedger(t: TestContext): Promise<{ cluster: TestCluster; path: string }> {
  const cluster = await TestCluster.start(t);
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  return { cluster, path };
}

test('a write transaction that is open for a minute is whole or not there, and the node goes on', {
  skip,
}, async (t) => {
  const { cluster, path } = await withLedger(t);
  const app = new SqlConnection(t, path);
  await app.run('CREATE TABLE slow (id INTEGER PRIMARY KEY, body BLOB)');
  await app.run('BEGIN IMMEDIATE');
  const endsAt = performance.now() + minuteMs;
  let rows = 0;
  for (; performance.now() < endsAt; rows += 1) {
    await app.run('INSERT INTO slow (body) VALUES (randomblob(20000))');
    await delay(100);
  }
  const count = 'SELECT count(*) FROM slow';
  const other = cluster.replica.path('app.db');
  assert.equal(await sqlite3(other, count), '0');
  await app.run('COMMIT');
  await cluster.waitInStep();
  assert.equal(await sqlite3(other, count), String(rows));
  await app.close();
  await assertInStep(cluster);
});

for (const whose of ['primary', 'replica'] as const) {
  test(`a reader on the ${whose} that keeps a snapshot for a minute of writes sees one state, and nothing is lost`, {
    skip,
  }, async (t) => {
    const { cluster, path } = await withLedger(t);
    const node = cluster[whose];
    const reader = new SqlConnection(t, node.path('app.db'));
    const writer = new LedgerWriter(t, 'node', path, 'writer');
    await writer.commits(200);
    await reader.run('BEGIN');
    const held = await reader.value('SELECT value FROM counter');
    const endsAt = performance.now() + minuteMs;
    while (performance.now() < endsAt) {
      await delay(1_000);
      assert.equal(await reader.value('SELECT value FROM counter'), held);
    }
    assert.equal(await reader.value('PRAGMA integrity_check'), 'ok');
    await reader.run('COMMIT');
    await writer.stop();
    await reader.close();
    await assertInStep(cluster, minuteMs);
    await assertNothingLost(node.path('app.db'), [writer]);
  });
}
