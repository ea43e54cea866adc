import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { assertInStep } from './support/checks.ts';
import { createLedger } from './support/ledger.ts';
import { Relay } from './support/relay.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { skipWithout } from './tools.ts';

const skip =
  process.platform === 'linux'
    ? skipWithout('python3') || skipWithout('sqlite3')
    : 'memory is read from /proc';
const writtenMegabytes = 150;
/** Well below what is written, so that it cannot be waiting in memory. */
const growthBytesMax = 90 * 2 ** 20;

function peakMemoryBytes(node: TestNode): number {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'));
  return Number(found?.[1]) * 1024;
}

test('a replica on a slow link costs the primary no memory, delays no other replica, and catches up', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.create(t, { replicas: 2 });
  const relay = await Relay.start(t, Number(new URL(cluster.primary.url).port));
  const [slow, fast] = cluster.replicas;
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  await slow.start({ SKEIN_LEASE_PRIMARY: relay.url });
  await fast.start();
  await cluster.waitInStep();

  relay.bytesPerSecond = 500_000;
  const before = cluster.nodes.map(peakMemoryBytes);
  const app = new SqlConnection(t, cluster.primary.path('app.db'));
  await app.run('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  for (let count = 0; count < writtenMegabytes; count += 1)
    await app.run('INSERT INTO big (body) VALUES (randomblob(1000000))');
  const body = JSON.stringify({ database: 'app.db', durability: 1, timeoutMs: 20_000 });
  const answer = await cluster.primary.fetch('/wait', {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(25_000),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  const { nodes } = (await answer.json()) as { nodes: string[] };
  assert.deepEqual(nodes, [fast.name]);

  relay.bytesPerSecond = undefined;
  await app.close();
  await assertInStep(cluster);
  for (const [index, node] of cluster.nodes.entries()) {
    const growthBytes = peakMemoryBytes(node) - before[index];
    t.diagnostic(`${node.name}: ${before[index] >> 20} MiB before, ${growthBytes >> 20} MiB more after`);
    assert.ok(growthBytes < growthBytesMax, `${node.name} took ${growthBytes} bytes more`);
  }
});

test('a node stops beside one that is frozen, whichever of the two it is', { skip }, async (t) => {
  const cluster = await TestCluster.start(t);
  const { primary, replica } = cluster;
  createLedger(primary.path('app.db'));
  await cluster.waitInStep();
  // `stop` rejects when a node has to be killed.
  process.kill(Number(replica.pid), 'SIGSTOP');
  await primary.stop();
  process.kill(Number(replica.pid), 'SIGCONT');
  await primary.start();
  await cluster.waitInStep();
  process.kill(Number(primary.pid), 'SIGSTOP');
  await replica.stop();
  process.kill(Number(primary.pid), 'SIGCONT');
});
