import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { TestCluster } from './support/test-cluster.ts';
import { endOf } from './support/test-node.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const applyFailpoints = [
  'apply:logged',
  'apply:frames-written',
  'apply:index-written',
  'apply:second-copy-written',
  'restart:marks-written',
  'recycle:replica-moved',
];
const resyncFailpoints = applyFailpoints.slice(0, 4);
const snapshotFailpoints = ['snapshot:written', 'snapshot:in-place'];
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '60' };

test("a replica's node killed at random moments comes back in step, under its readers", {
  skip,
}, async (t) => {
  const random = new Random(t);
  const cluster = await TestCluster.start(t, { environment });
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  const writers = [
    new LedgerWriter(t, 'python', cluster.primary.path('app.db'), 'python', 1),
    new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'node', 1),
  ];
  const reader = new LedgerReader(t, 'python', cluster.replica.path('app.db'));
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(writers.map((writer) => writer.commits(20)));
    await delay(random.between(0, 500));
    await cluster.replica.kill();
    await cluster.replica.start();
  }
  for (const writer of writers) await writer.stop();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
  await assertNothingLost(cluster.replica.path('app.db'), writers);
});

/** With readers the wal-index outlives the node; without, SQLite builds it anew from the WAL. */
for (const readers of ['with a reader', 'without a reader']) {
  test(`a replica's node killed at every step of apply comes back in step, ${readers}`, {
    skip,
  }, async (t) => {
    const random = new Random(t);
    const cluster = await TestCluster.start(t, { environment });
    createLedger(cluster.primary.path('app.db'));
    await cluster.waitInStep();
    const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'node', 1);
    const reader = readers === 'with a reader' && new LedgerReader(t, 'node', cluster.replica.path('app.db'));
    for (const failpoint of applyFailpoints) {
      await cluster.replica.stop();
      const nth = random.between(1, /^apply/.test(failpoint) ? 60 : 6);
      t.diagnostic(`${failpoint}#${nth}`);
      cluster.replica.launch({ SKEIN_TEST_FAILPOINT: `${failpoint}#${nth}` });
      const { signal } = await endOf(cluster.replica);
      assert.equal(signal, 'SIGKILL', `${failpoint} kills the node`);
      await writer.commits(random.between(0, 50));
      await cluster.replica.start();
      await writer.commits(50);
    }
    await writer.stop();
    await assertInStep(cluster);
    if (reader) assert.ok((await reader.stop()) > 0);
    await assertNothingLost(cluster.replica.path('app.db'), [writer]);
  });
}

test("a replica's node killed at every step of its first snapshot has the database after a new start", {
  skip,
}, async (t) => {
  const cluster = await TestCluster.create(t, { environment });
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  createLedger(cluster.primary.path('other.db'));
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'node', 1);
  await writer.commits(50);
  for (const failpoint of snapshotFailpoints) {
    cluster.replica.launch({ SKEIN_TEST_FAILPOINT: `${failpoint}#1` });
    const { signal } = await endOf(cluster.replica);
    assert.equal(signal, 'SIGKILL', `${failpoint} kills the node`);
    await writer.commits(20);
  }
  await cluster.replica.start();
  await writer.stop();
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

test("a replica's node killed while it takes the pages that differ takes them at the next start", {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  await writer.commits(50);
  for (const failpoint of resyncFailpoints) {
    await cluster.replica.stop();
    // Without its log it does not know its own position.
    rmSync(cluster.replica.path('.skein/log/app.db'), { recursive: true });
    await writer.commits(50);
    cluster.replica.launch({ SKEIN_TEST_FAILPOINT: `${failpoint}#1` });
    const { signal } = await endOf(cluster.replica);
    assert.equal(signal, 'SIGKILL', `${failpoint} kills the node`);
    const seen = cluster.replica.lines.length;
    await cluster.replica.start();
    await cluster.replica.line(/connected to the primary/, seen);
    await writer.commits(20);
  }
  await writer.stop();
  await assertInStep(cluster);
  assert.ok((await reader.stop()) > 0);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});
