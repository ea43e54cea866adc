import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { assertInStep } from './support/checks.ts';
import { EtcdServer } from './support/etcd-server.ts';
import { assertNothingLost, createLedger, LedgerWriter } from './support/ledger.ts';
import { RedisServer } from './support/redis-server.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { type CandidatesOptions, post, TestCandidates } from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const enter = "INSERT INTO savings (balance) VALUES (0) RETURNING 'written'";

/** Three nodes; on the one that leads, a ledger that all have. */
async function withLedger(
  t: TestContext,
  options: CandidatesOptions = {},
): Promise<{ candidates: TestCandidates; leader: TestNode }> {
  const candidates = await TestCandidates.start(t, options);
  const leader = await candidates.leader();
  createLedger(leader.path('app.db'));
  await candidates.waitInStep();
  return { candidates, leader };
}

/** Hands over while programs write on both nodes, and there and back on connections that stay open. */
async function handOffUnderLoad(t: TestContext, options: CandidatesOptions): Promise<void> {
  const { candidates, leader } = await withLedger(t, options);
  const [target] = candidates.others(leader);
  const before = [
    new LedgerWriter(t, 'python', leader.path('app.db'), 'python'),
    new LedgerWriter(t, 'node', leader.path('app.db'), 'node'),
  ];
  const after = new LedgerWriter(t, 'python', target.path('app.db'), 'after');
  const here = new SqlConnection(t, leader.path('app.db'), 'python', 0);
  const there = new SqlConnection(t, target.path('app.db'), 'node', 0);
  await Promise.all(before.map((writer) => writer.commits(50)));
  assert.equal(await there.error(enter), 'SQLITE_BUSY', 'nobody writes on a replica');

  assert.deepEqual(await post(leader, '/handoff', { node: target.name }), {
    status: 200,
    body: { primary: target.name },
  });
  await after.commits(20);
  assert.equal(await here.error(enter), 'SQLITE_BUSY', 'nobody writes on what was the primary');
  const confirmed = before.map(({ confirmed }) => confirmed);
  await after.commits(100);
  assert.deepEqual(
    before.map((writer) => writer.confirmed),
    confirmed,
    'no writer goes on where the lead was',
  );
  await after.stop();
  // A store that answers late may have the node fence for a moment.
  for (const connection of [here, there]) await connection.run('PRAGMA busy_timeout = 5000');
  // In another process, and opened before this node led.
  assert.equal((await there.run(enter))[0]?.[0], 'written');
  await candidates.waitInStep();
  assert.equal(
    await here.value('SELECT count(*) FROM savings'),
    51,
    'readers there see what is written here',
  );

  assert.equal((await post(target, '/handoff', { node: leader.name })).status, 200);
  // Those that waited for the lock all the while.
  await Promise.all(before.map((writer) => writer.commits(20)));
  for (const writer of before) await writer.stop();
  assert.equal((await here.run(enter))[0]?.[0], 'written');
  await assertInStep(candidates);
  for (const node of candidates.nodes) {
    await assertNothingLost(node.path('app.db'), [...before, after]);
    assert.ok(!existsSync(node.path('.skein/lost')), `${node.name} has nothing to keep`);
  }
}

test('a handoff under load loses nothing, and open connections write where the lead is', { skip }, (t) =>
  handOffUnderLoad(t, {}),
);

test('a handoff by way of etcd loses nothing either', {
  skip: skip || skipWithout('etcd-server'),
}, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  await handOffUnderLoad(t, { store: { type: 'etcd', url: etcd.url } });
});

test('a handoff by way of Redis loses nothing either', {
  skip: skip || skipWithout('redis-server'),
}, async (t) => {
  const redis = await RedisServer.start();
  t.after(() => redis.close());
  await handOffUnderLoad(t, { store: { type: 'redis', url: redis.url } });
});

test('twenty handoffs in a row, each to the next, lose nothing under load', { skip }, async (t) => {
  const { candidates, leader } = await withLedger(t);
  const writers = candidates.nodes.map(
    (node) => new LedgerWriter(t, 'python', node.path('app.db'), node.name, 1),
  );
  let current = leader;
  for (let round = 0; round < 20; round += 1) {
    const next = candidates.nodes[(candidates.nodes.indexOf(current) + 1) % candidates.nodes.length];
    // A moment ago another node led, and this one may still be on its way from that.
    const isConnected = async () =>
      (await current.state()).replicas.some(({ node, connected }) => node === next.name && connected);
    await waitFor(`${next.name} to follow ${current.name}`, isConnected);
    const { status, body } = await post(current, '/handoff', { node: next.name });
    assert.deepEqual([status, body], [200, { primary: next.name }], `handoff ${round}`);
    await writers[candidates.nodes.indexOf(next)].commits(5);
    current = next;
  }
  // Their transactions wait for the lock, which does not come where they are.
  for (const writer of writers) await writer.kill();
  await assertInStep(candidates);
  for (const node of candidates.nodes) {
    await assertNothingLost(node.path('app.db'), writers, true);
    assert.ok(!existsSync(node.path('.skein/lost')), `${node.name} has nothing to keep`);
  }
});

test('a primary that is stopped in order leaves the lead to another at once', { skip }, async (t) => {
  const { candidates, leader } = await withLedger(t, { ttl: '10s' });
  const others = candidates.others(leader);
  const writers = others.map((node) => new LedgerWriter(t, 'python', node.path('app.db'), node.name));
  await leader.stop();
  const stoppedMs = performance.now();
  const next = await candidates.leader(others);
  await writers[others.indexOf(next)].commits(1);
  const tookMs = performance.now() - stoppedMs;
  t.diagnostic(`the first commit came ${Math.round(tookMs)} ms after the stop`);
  assert.ok(tookMs < 3_000, 'it does not wait for the end of the lease');
  for (const writer of writers) await writer.kill();
  await leader.start();
  await assertInStep(candidates);
  assert.ok(!existsSync(leader.path('.skein/lost')));
});

test('processes for the primary run on the node that leads and on no other', { skip }, async (t) => {
  const toml = `[processes.worker]\ncommand = "echo works as $$; exec sleep 1000"\non = "primary"\n`;
  const candidates = await TestCandidates.start(t, { toml });
  const first = await candidates.leader();
  const [second] = candidates.others(first);
  const worker = async (node: TestNode) => {
    const states = (await node.state()) as unknown as { processes: { state: string; pid: number | null }[] };
    return states.processes[0];
  };
  const [line] = [await first.line(/worker .*works as/)];
  const pid = Number(/works as (\d+)/.exec(line)?.[1]);
  for (const node of candidates.others(first)) assert.equal((await worker(node)).state, 'stopped', node.name);

  assert.equal((await post(first, '/handoff', { node: second.name })).status, 200);
  // Stopped before another may lead: the answer comes when it may.
  assert.throws(() => process.kill(pid, 0), 'the process is gone');
  await second.line(/worker .*works as/);
  for (const node of candidates.others(second))
    assert.equal((await worker(node)).state, 'stopped', node.name);

  await second.kill();
  const third = await candidates.leader(candidates.others(second));
  await waitFor(`the worker on ${third.name}`, async () => (await worker(third)).state === 'running');
  const running = await Promise.all(candidates.others(second).map(worker));
  assert.equal(running.filter(({ state }) => state === 'running').length, 1);
});

test('.primary, the events and the status follow a change of the lead', { skip }, async (t) => {
  const { candidates, leader } = await withLedger(t);
  const [target, other] = candidates.others(leader);
  const streams = await Promise.all(candidates.nodes.map((node) => events(t, node)));
  const told = (node: TestNode) => streams[candidates.nodes.indexOf(node)];
  assert.deepEqual(told(leader)[0], { type: 'init', data: { isPrimary: true } });
  assert.deepEqual(told(other)[0], { type: 'init', data: { isPrimary: false, hostname: leader.name } });

  assert.equal((await post(leader, '/handoff', { node: target.name })).status, 200);
  await candidates.settled();
  const changes = (node: TestNode) => told(node).filter(({ type }) => type === 'primaryChange');
  await waitFor('the events', () =>
    candidates.nodes.every((node) => lastOf(changes(node))?.data !== undefined),
  );
  assert.deepEqual(lastOf(changes(target))?.data, { isPrimary: true });
  for (const node of [leader, other]) {
    assert.deepEqual(lastOf(changes(node))?.data, { isPrimary: false, hostname: target.name });
    assert.equal(readFileSync(node.path('.primary'), 'utf8'), `${target.name}\n`);
    assert.equal((await node.state()).role, 'replica');
  }
  assert.ok(!existsSync(target.path('.primary')));
  const state = await target.state();
  assert.deepEqual([state.role, state.primary?.node], ['primary', target.name]);
});

test('what cannot be handed over is refused, and the primary leads on', { skip }, async (t) => {
  const { candidates, leader } = await withLedger(t, {
    nodes: { syd: { environment: { SKEIN_NODE_CANDIDATE: 'false' } } },
  });
  const connection = new SqlConnection(t, leader.path('app.db'));
  const [other] = candidates.others(leader, candidates.node('syd'));
  for (const name of ['syd', 'nobody']) {
    const { status, body } = await post(leader, '/handoff', { node: name });
    assert.equal(body.error?.code, 'NO_CANDIDATE', `${status} ${name}`);
  }
  assert.equal((await post(other, '/handoff', {})).body.error?.code, 'NOT_PRIMARY');
  assert.equal((await post(candidates.node('syd'), '/promote', {})).body.error?.code, 'NO_CANDIDATE');
  assert.equal((await connection.run(enter))[0]?.[0], 'written');
  assert.equal(await candidates.leader(), leader);
  assert.deepEqual((await post(other, '/promote', {})).body, { primary: other.name });
  assert.equal(await candidates.leader(), other);
});

type Event = { readonly type: string; readonly data: object };

/** Every event from now on, as it comes. */
async function events(t: TestContext, node: TestNode): Promise<Event[]> {
  const gone = new AbortController();
  t.after(() => gone.abort());
  const found: Event[] = [];
  const answer = await fetch(`${node.url}/events`, { signal: gone.signal });
  const read = async () => {
    let rest = '';
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      found.push(...lines.map((line) => JSON.parse(line)));
    }
  };
  void read().catch(() => undefined);
  await waitFor('the first event', () => found.length > 0);
  return found;
}

function lastOf<Item>(items: readonly Item[]): Item | undefined {
  return items.at(-1);
}
