import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { TestCluster } from './support/test-cluster.ts';
import { endOf } from './support/test-node.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const failpoints = [
  'recycle:beside-begun',
  'recycle:beside-moved',
  'recycle:beside-over',
  'recycle:locked',
  'recycle:captured',
  'recycle:moved',
  'recycle:complete',
  'capture:encoded',
  'capture:logged',
];
/** Short, so that there are many recycles in a short test. */
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '60' };

/** A cluster with a ledger, and two writers outside of it that go on whatever the primary's node does. */
async function underLoad(t: TestContext): Promise<{ cluster: TestCluster; writers: LedgerWriter[] }> {
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await cluster.waitInStep();
  const writers = [
    new LedgerWriter(t, 'python', path, 'python', 1),
    new LedgerWriter(t, 'node', path, 'node', 1),
  ];
  await Promise.all(writers.map((writer) => writer.commits(20)));
  return { cluster, writers };
}

async function assertWhole(cluster: TestCluster, writers: readonly LedgerWriter[]): Promise<void> {
  for (const writer of writers) await writer.stop();
  await assertInStep(cluster);
  for (const node of cluster.nodes) await assertNothingLost(node.path('app.db'), writers);
}

test("a primary's node killed at random moments loses no commit, and replicas get all", {
  skip,
}, async (t) => {
  const random = new Random(t);
  const { cluster, writers } = await underLoad(t);
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  for (let round = 0; round < 6; round += 1) {
    await delay(random.between(0, 600));
    await cluster.primary.kill();
    await Promise.all(writers.map((writer) => writer.commits(random.between(0, 200))));
    // Killed again before it has answered, in some rounds.
    if (random.fraction() < 0.4) {
      cluster.primary.launch();
      await delay(random.between(50, 500));
      await cluster.primary.kill();
    }
    await cluster.primary.start();
  }
  await assertWhole(cluster, writers);
  assert.ok((await reader.stop()) > 0);
});

test("a primary's node killed at every step of capture and recycle loses no commit", { skip }, async (t) => {
  const random = new Random(t);
  const { cluster, writers } = await underLoad(t);
  for (const failpoint of failpoints) {
    await cluster.primary.stop();
    const nth = random.between(1, 12);
    t.diagnostic(`${failpoint}#${nth}`);
    cluster.primary.launch({ SKEIN_TEST_FAILPOINT: `${failpoint}#${nth}` });
    const { signal } = await endOf(cluster.primary);
    assert.equal(signal, 'SIGKILL', `${failpoint} kills the node`);
    await Promise.all(writers.map((writer) => writer.commits(random.between(0, 50))));
    await cluster.primary.start();
    // Nobody starts the app anew after a crash of the node: its connections are still the old ones.
    await Promise.all(writers.map((writer) => writer.commits(50)));
  }
  await assertWhole(cluster, writers);
});

for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
  test(`an app that writes and checkpoints (${mode}) while the node is down loses nothing`, {
    skip,
  }, async (t) => {
    const { cluster, writers } = await underLoad(t);
    const path = cluster.primary.path('app.db');
    await cluster.primary.kill();
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(writers.map((writer) => writer.commits(30)));
      await sqlite3(path, `PRAGMA wal_checkpoint(${mode})`);
    }
    await cluster.primary.start();
    await Promise.all(writers.map((writer) => writer.commits(30)));
    await assertWhole(cluster, writers);
  });
}

test('a node that was down while the last connection closed and removed the WAL finds its place again', {
  skip,
}, async (t) => {
  const { cluster, writers } = await underLoad(t);
  await cluster.primary.kill();
  for (const writer of writers) await writer.stop();
  const path = cluster.primary.path('app.db');
  // The only connection: closing it checkpoints and deletes the WAL.
  await sqlite3(
    path,
    "INSERT INTO entry (writer, number, note) VALUES ('late', 1, x'00'); UPDATE counter SET value = value + 1",
  );
  await cluster.primary.start();
  await assertInStep(cluster);
  const count = 'SELECT count(*) FROM entry';
  assert.equal(await sqlite3(cluster.replica.path('app.db'), count), await sqlite3(path, count));
});
