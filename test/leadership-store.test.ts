import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { EtcdServer } from './support/etcd-server.ts';
import { RedisServer } from './support/redis-server.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { type CandidatesOptions, durable, leadershipOf, TestCandidates } from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const ttlMs = 2_000;
const enter = 'INSERT INTO entry DEFAULT VALUES';
const count = 'SELECT count(*) FROM entry';

type Setting = {
  readonly candidates: TestCandidates;
  readonly leader: TestNode;
  /** One on each node, in the order of the nodes; without a busy time-out. */
  readonly connections: readonly SqlConnection[];
  readonly onLeader: SqlConnection;
};

async function threeNodes(t: TestContext, options: CandidatesOptions): Promise<Setting> {
  const candidates = await TestCandidates.start(t, options);
  const leader = await candidates.leader();
  await sqlite3(
    leader.path('app.db'),
    'PRAGMA journal_mode=WAL; CREATE TABLE entry (id INTEGER PRIMARY KEY)',
  );
  await candidates.waitInStep();
  await durable(leader, candidates.nodes);
  const connections = candidates.nodes.map((node) => new SqlConnection(t, node.path('app.db'), 'python', 0));
  return { candidates, leader, connections, onLeader: connections[candidates.nodes.indexOf(leader)] };
}

/** Writes until that is refused on every node; how long after `sinceMs` the last write began that was let through. */
async function lastWriteMs(onLeader: SqlConnection, sinceMs: number): Promise<number> {
  let lastMs = 0;
  await waitFor('writes to be refused', async () => {
    const beganMs = performance.now();
    const error = await onLeader.error(enter);
    if (error === undefined) lastMs = beganMs;
    return error === 'SQLITE_BUSY' && performance.now() - lastMs > 300;
  });
  return lastMs - sinceMs;
}

/** The store goes away and comes back; `goes` takes effect at once. */
async function standsStillMeanwhile(
  t: TestContext,
  options: CandidatesOptions,
  goes: () => Promise<void> | void,
  comesBack: () => Promise<void> | void,
): Promise<void> {
  const { candidates, leader, connections, onLeader } = await threeNodes(t, options);
  await onLeader.run(enter);
  const goneMs = performance.now();
  await goes();
  const lastMs = await lastWriteMs(onLeader, goneMs);
  t.diagnostic(`last write ${Math.round(lastMs)} ms after the store went, with a TTL of ${ttlMs} ms`);
  assert.ok(lastMs < ttlMs, `refused before the lease ends: ${Math.round(lastMs)} ms`);
  for (const connection of connections) {
    assert.ok(Number(await connection.value(count)) > 0, 'reads go on');
    assert.equal(await connection.error(enter), 'SQLITE_BUSY');
  }
  await waitFor('all to say why', async () => {
    const told = await Promise.all(candidates.nodes.map(leadershipOf));
    return told.every((answer) => answer?.problem);
  });
  await comesBack();
  const next = await candidates.leader();
  const there = connections[candidates.nodes.indexOf(next)];
  await waitFor('writes', async () => (await there.error(enter)) === undefined);
  await assertInStep(candidates);
  assert.ok(((await leadershipOf(leader))?.epoch ?? 0) >= 1);
}

test('without etcd writes are refused before the lease ends, reads go on, and all goes on when it is back', {
  skip: skip || skipWithout('etcd-server'),
}, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  const store = { type: 'etcd', url: etcd.url } as const;
  await standsStillMeanwhile(
    t,
    { store },
    () => etcd.stop(),
    () => etcd.start(),
  );
});

test('an etcd that hangs is as good as none', { skip: skip || skipWithout('etcd-server') }, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  const store = { type: 'etcd', url: etcd.url } as const;
  await standsStillMeanwhile(
    t,
    { store },
    () => etcd.freeze(),
    () => etcd.thaw(),
  );
});

test('a Redis that hangs is as good as none, and all goes on when it is back', {
  skip: skip || skipWithout('redis-server'),
}, async (t) => {
  const redis = await RedisServer.start();
  t.after(() => redis.close());
  const store = { type: 'redis', url: redis.url } as const;
  await standsStillMeanwhile(
    t,
    { store },
    () => redis.freeze(),
    () => redis.thaw(),
  );
});

/** All that is in the store is gone, while everybody runs. */
async function survivesAnEmptiedStore(
  t: TestContext,
  options: CandidatesOptions,
  empty: (candidates: TestCandidates) => Promise<unknown> | unknown,
): Promise<void> {
  const { candidates, leader, connections, onLeader } = await threeNodes(t, options);
  await onLeader.run(enter);
  await durable(leader, candidates.nodes);
  const before = (await leadershipOf(leader))?.epoch ?? 0;
  await empty(candidates);
  await waitFor(
    'the record to be there again',
    async () => {
      const told = await leadershipOf(leader);
      return told?.problem === null && told.validForMs > 0 && told.candidates.length >= 2;
    },
    { state: () => candidates.nodes.map((node) => node.tail()).join('\n') },
  );
  assert.equal(await candidates.settled(), leader, 'who led leads on');
  assert.ok(((await leadershipOf(leader))?.epoch ?? 0) >= before);
  await waitFor('writes', async () => (await onLeader.error(enter)) === undefined);
  for (const other of candidates.others(leader)) {
    assert.equal(await connections[candidates.nodes.indexOf(other)].error(enter), 'SQLITE_BUSY');
  }
  await assertInStep(candidates);
  // What the record has to say is there again too.
  await durable(leader, candidates.nodes);
  await leader.kill();
  const next = await candidates.leader(candidates.others(leader));
  assert.equal(await sqlite3(next.path('app.db'), count), '2');
}

test('a file lease that is deleted while nodes run is written again by who leads', { skip }, (t) =>
  survivesAnEmptiedStore(t, {}, ({ directory }) =>
    renameSync(join(directory, 'lease'), join(directory, 'gone')),
  ),
);

test('a Redis that forgets all while nodes run changes nothing', {
  skip: skip || skipWithout('redis-server'),
}, async (t) => {
  const redis = await RedisServer.start();
  t.after(() => redis.close());
  await survivesAnEmptiedStore(t, { store: { type: 'redis', url: redis.url } }, () => redis.run('FLUSHALL'));
});

test('an etcd that comes back empty while nodes run changes nothing', {
  skip: skip || skipWithout('etcd-server'),
}, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  await survivesAnEmptiedStore(t, { store: { type: 'etcd', url: etcd.url } }, async () => {
    await etcd.stop();
    await etcd.start({ emptied: true });
  });
});

test('nodes that start without their store serve reads, and lead when it is there', {
  skip: skip || skipWithout('etcd-server'),
}, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  const { candidates, onLeader, connections } = await threeNodes(t, {
    store: { type: 'etcd', url: etcd.url },
  });
  await onLeader.run(enter);
  await candidates.waitInStep();
  await Promise.all(candidates.nodes.map((node) => node.kill()));
  await etcd.stop();
  await Promise.all(candidates.nodes.map((node) => node.start()));
  for (const node of candidates.nodes) await node.line(/the lease store is of no use; reads go on/);
  for (const connection of connections) {
    assert.equal(await connection.value(count), 1);
    assert.equal(await connection.error(enter), 'SQLITE_BUSY');
  }
  await etcd.start();
  const leader = await candidates.leader();
  const there = connections[candidates.nodes.indexOf(leader)];
  await waitFor('writes', async () => (await there.error(enter)) === undefined);
  await assertInStep(candidates);
});
