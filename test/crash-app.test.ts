import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { TestCluster } from './support/test-cluster.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');

test('an app killed at random moments of its transactions loses no commit, and replicas stay in step', {
  skip,
}, async (t) => {
  const random = new Random(t);
  const cluster = await TestCluster.start(t, { environment: { SKEIN_TEST_RECYCLE_FRAMES: '60' } });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  const steady = new LedgerWriter(t, 'node', path, 'steady', 1);
  const killed: LedgerWriter[] = [];
  for (let round = 0; round < 12; round += 1) {
    const language = round % 2 === 0 ? 'python' : 'node';
    const writer = new LedgerWriter(t, language, path, `killed${round}`);
    killed.push(writer);
    await writer.commits(1);
    await delay(random.between(0, 200));
    await writer.kill();
    await steady.commits(5);
  }
  await steady.stop();
  await assertInStep(cluster);
  for (const node of cluster.nodes) {
    await assertNothingLost(node.path('app.db'), [steady]);
    await assertNothingLost(node.path('app.db'), killed, true);
  }
});
