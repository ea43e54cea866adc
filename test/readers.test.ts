import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { TestCluster } from './support/test-cluster.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const loadMs = 8_000;

test('readers on a replica see no error, no torn state and no step back under twenty writers', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment: { SKEIN_TEST_RECYCLE_FRAMES: '500' } });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();

  const readers = [cluster.replica, cluster.primary].flatMap((node) => [
    new LedgerReader(t, 'python', node.path('app.db')),
    new LedgerReader(t, 'node', node.path('app.db')),
  ]);
  const writers = Array.from(
    { length: 20 },
    (_, index) => new LedgerWriter(t, index % 2 === 0 ? 'python' : 'node', path, `writer${index}`, 2),
  );
  await Promise.all(writers.map((writer) => writer.commits(20)));
  // The load itself has to last; there is nothing to wait for but its end.
  await delay(loadMs);
  await Promise.all(writers.map((writer) => writer.stop()));
  await cluster.waitInStep();
  for (const reader of readers) assert.ok((await reader.stop()) > 100, 'a reader that read');

  await assertInStep(cluster);
  for (const node of cluster.nodes) await assertNothingLost(node.path('app.db'), writers);
});
