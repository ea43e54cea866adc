import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { listLost } from '../database/lost-entries.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { ReplicaSet } from '../database/replica-set.ts';
import { writeSnapshot } from '../database/snapshot.ts';
import { follow, TestNode } from '../database/test-support.ts';
import { checksum, formatPosition, type Position, txid } from '../ltx/position.ts';
import { DatabaseReceiver } from './database-receiver.ts';

/** A replica that followed a primary for some commits, of which all positions are returned. */
async function followed(t: TestContext) {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t);
  const primary = await one.primary(t);
  const set = new ReplicaSet(two.context, two.directory);
  await set.start();
  t.after(() => set.stop());
  await install(set, primary);
  const replica = set.get('a.db');
  assert.ok(replica);
  follow(primary, replica);
  const positions: Position[] = [replica.position];
  while (positions.length < 6) {
    app.exec('INSERT INTO t VALUES (NULL, 1)');
    await primary.capture();
    positions.push(replica.position);
  }
  const entries = () => listLost(two.directory.hidden).map(({ entry }) => entry);
  return { receiver: new DatabaseReceiver(set, 'a.db'), positions, entries, notices: two.notices };
}

async function install(set: ReplicaSet, primary: PrimaryDatabase): Promise<void> {
  const receiving = set.beginInstall(primary.name);
  const pin = await primary.pin();
  const input = { ...pin, nodeId: 1n, timestampMs: 1 };
  await writeSnapshot(input, (chunk) => receiving.push(chunk), new AbortController().signal);
  pin.release();
  await receiving.finish();
}

/** A position of another chain. */
function elsewhere(n: number): Position {
  return { txid: txid(n), checksum: checksum((1n << 63n) | 99n) };
}

test('what follows the newest shared position is kept, also when the primary is far ahead by now', async (t) => {
  const { receiver, positions, entries, notices } = await followed(t);
  const shared = [elsewhere(positions[4].txid), positions[3], positions[1]];
  await receiver.keepIfDiverged({ position: elsewhere(1_000), shared, epoch: 5 }, 4);
  const [entry, ...others] = entries();
  assert.deepEqual(others, []);
  assert.equal(entry.from, formatPosition(positions[3]));
  assert.equal(entry.to, formatPosition(positions[5]));
  assert.deepEqual([entry.transactions, entry.isRangeCertain, entry.epoch], [2, true, 4]);
  assert.ok(notices.some((line) => line.includes("this node's state was kept")));
});

test('without a shared position everything in the log is kept, and called uncertain', async (t) => {
  const { receiver, positions, entries } = await followed(t);
  const last = positions[5];
  const primary = { position: elsewhere(last.txid), shared: [elsewhere(last.txid)], epoch: 1 };
  await receiver.keepIfDiverged(primary, 1);
  const [entry] = entries();
  assert.equal(entry.from, formatPosition(positions[0]));
  assert.equal(entry.isRangeCertain, false);
});

test('a replica that is merely behind, or at the same state, keeps nothing', async (t) => {
  const { receiver, positions, entries } = await followed(t);
  const last = positions[5];
  const far = elsewhere(1_000);
  await receiver.keepIfDiverged({ position: far, shared: [last, positions[2]], epoch: 1 }, 1);
  await receiver.keepIfDiverged({ position: far, shared: [last, positions[2]], epoch: 2 }, 1);
  await receiver.keepIfDiverged({ position: far, shared: [elsewhere(900)], epoch: 1 }, 1);
  await receiver.keepIfDiverged({ position: { ...last, txid: txid(3) }, shared: [], epoch: 1 }, 1);
  assert.deepEqual(entries(), []);
});

test('a replica that the log does not reach keeps its state when another node has led since', async (t) => {
  const { receiver, positions, entries } = await followed(t);
  await receiver.keepIfDiverged({ position: elsewhere(1_000), shared: [elsewhere(900)], epoch: 2 }, 1);
  const [entry] = entries();
  assert.deepEqual([entry.from, entry.isRangeCertain], [formatPosition(positions[0]), false]);
});
