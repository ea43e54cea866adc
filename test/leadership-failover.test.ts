import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { platformByteLocks, shmLock } from '../src/sqlite/byte-locks.ts';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { EtcdServer } from './support/etcd-server.ts';
import { createLedger } from './support/ledger.ts';
import { pause } from './support/pause.ts';
import { RedisServer } from './support/redis-server.ts';
import { SqlConnection } from './support/sql-connection.ts';
import {
  type CandidatesOptions,
  durable,
  isDurable,
  leadershipOf,
  post,
  TestCandidates,
} from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const ttlMs = 2_000;
const count = 'SELECT count(*) FROM entry';

type Setting = {
  readonly candidates: TestCandidates;
  readonly leader: TestNode;
  /** The first of the others to connect: what the lease record names. */
  readonly standby: TestNode;
  readonly third: TestNode;
  /** On the leader. */
  readonly connection: SqlConnection;
};

/** Three nodes in step with a table, and who is what among them. */
async function threeNodes(t: TestContext, options: CandidatesOptions = {}): Promise<Setting> {
  const candidates = await TestCandidates.start(t, options);
  const leader = await candidates.leader();
  const connection = new SqlConnection(t, leader.path('app.db'), 'python', 0);
  await connection.run('PRAGMA journal_mode=WAL');
  await connection.run('CREATE TABLE entry (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE)');
  await candidates.waitInStep();
  await durable(leader, candidates.nodes);
  const name = await standbyOf(candidates);
  const standby = candidates.node(name);
  const [third] = candidates.others(leader, standby);
  return { candidates, leader, standby, third, connection };
}

/** Only the standby can lead while the holder is away. */
async function standbyOf(candidates: TestCandidates): Promise<string> {
  const leader = await candidates.leader();
  const free = await waitFor('one standby', async () => {
    const told = (await leadershipOf(leader))?.candidates ?? [];
    const able = told.filter(({ node, obstacle }) => node !== leader.name && obstacle === null);
    return able.length === 1 ? able[0] : undefined;
  });
  return free.node;
}

function insert(value: string): string {
  return `INSERT INTO entry (value) VALUES ('${value}')`;
}

/** The first write that succeeds on one of the connections, which were there before, and how long it took to come. */
async function firstWrite(
  connections: readonly SqlConnection[],
  value: string,
  sinceMs: number,
): Promise<{ there: SqlConnection; tookMs: number }> {
  const there = await waitFor(
    `${value} to be written`,
    async () => {
      for (const connection of connections) {
        if ((await connection.error(insert(value))) === undefined) return connection;
      }
      return undefined;
    },
    { timeoutMs: 30_000 },
  );
  return { there, tookMs: performance.now() - sinceMs };
}

/** A connection on each of the nodes, without a busy time-out. */
function connectionsTo(t: TestContext, nodes: readonly TestNode[]): SqlConnection[] {
  return nodes.map((node) => new SqlConnection(t, node.path('app.db'), 'node', 0));
}

function keepsSomething(node: TestNode): boolean {
  return existsSync(node.path('.skein/lost'));
}

async function failsOver(t: TestContext, options: CandidatesOptions): Promise<void> {
  const { candidates, leader, connection } = await threeNodes(t, options);
  const open = connectionsTo(t, candidates.others(leader));
  for (let number = 1; number <= 30; number += 1) {
    await connection.run(insert(`acknowledged ${number}`));
    await durable(leader, candidates.nodes);
  }
  const killedMs = performance.now();
  await leader.kill();
  const { there, tookMs } = await firstWrite(open, 'after', killedMs);
  t.diagnostic(`first commit ${Math.round(tookMs)} ms after kill -9, with a TTL of ${ttlMs} ms`);
  assert.ok(tookMs < ttlMs + 1_000, `${Math.round(tookMs)} ms`);
  assert.equal(await there.value(count), 31);
  await leader.start();
  await assertInStep(candidates);
  assert.ok(!candidates.nodes.some(keepsSomething));
}

test(
  'kill -9 of the primary: the standby leads soon after the TTL, with all that was acknowledged',
  {
    skip,
  },
  (t) => failsOver(t, {}),
);

test('kill -9 of the primary, by way of etcd', { skip: skip || skipWithout('etcd-server') }, async (t) => {
  const etcd = await EtcdServer.started();
  t.after(() => etcd.remove());
  await failsOver(t, { store: { type: 'etcd', url: etcd.url } });
});

test('kill -9 of the primary, by way of Redis', { skip: skip || skipWithout('redis-server') }, async (t) => {
  const redis = await RedisServer.start();
  t.after(() => redis.close());
  await failsOver(t, { store: { type: 'redis', url: redis.url } });
});

test('a node that lacks acknowledged transactions waits until a person accepts the loss', {
  skip,
}, async (t) => {
  const { candidates, leader, standby, third, connection } = await threeNodes(t);
  await third.stop();
  await connection.run(insert('acknowledged'));
  await durable(leader, candidates.nodes);
  await Promise.all([leader.kill(), standby.kill()]);
  await third.start();
  await third.line(/nobody leads.*(?:acknowledged)/);
  const refused = await post(third, '/promote', {});
  assert.equal(refused.body.error?.code, 'NO_CANDIDATE');
  assert.match(refused.body.error?.message ?? '', /acknowledged.*--accept-loss/);
  assert.equal((await third.state()).role, 'replica');
  assert.match((await leadershipOf(third))?.obstacle ?? '', /acknowledged/);

  assert.deepEqual((await post(third, '/promote', { acceptLoss: true })).body, { primary: third.name });
  const there = new SqlConnection(t, third.path('app.db'));
  await there.run(insert('instead'));
  await Promise.all([leader.start(), standby.start()]);
  await assertInStep(candidates);
  assert.equal(await sqlite3(leader.path('app.db'), 'SELECT value FROM entry'), 'instead');
  for (const node of [leader, standby]) assert.ok(keepsSomething(node), `${node.name} keeps what it had`);
  assert.ok(!keepsSomething(third));
});

test('a node that could not lead at first, since a program kept a lock, leads and writes when it can', {
  skip,
}, async (t) => {
  const { candidates, leader, standby, third, connection } = await threeNodes(t);
  await connection.run(insert('acknowledged'));
  await durable(leader, candidates.nodes);
  // As a checkpoint of the app's own would.
  const shm = openSync(standby.path('app.db-shm'), 'r+');
  const locks = platformByteLocks();
  await waitFor(
    'the checkpoint lock',
    async () => locks.tryExclusive(shm, shmLock.checkpoint, 1) || undefined,
  );
  await third.stop();
  await leader.kill();
  await standby.line(/could not lead/);
  closeSync(shm);
  const { there } = await firstWrite(connectionsTo(t, [standby]), 'after', performance.now());
  assert.equal(await there.value(count), 2);
  await Promise.all([leader.start(), third.start()]);
  await assertInStep(candidates);
});

test('a database that the app deletes keeps nobody from leading, however soon its primary dies', {
  skip,
}, async (t) => {
  const { candidates, leader, standby, connection } = await threeNodes(t);
  const other = new SqlConnection(t, leader.path('other.db'), 'python', 0);
  await other.run('PRAGMA journal_mode=WAL');
  await other.run('CREATE TABLE t (v)');
  await candidates.waitInStep();
  await connection.run(insert('acknowledged'));
  await durable(leader, candidates.nodes);
  await other.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(leader.path(`other.db${suffix}`), { force: true });
  await waitFor('the standby to delete it', async () => !existsSync(standby.path('other.db')) || undefined);
  await leader.kill();
  const rest = candidates.others(leader);
  const { there } = await firstWrite(connectionsTo(t, rest), 'after', performance.now());
  assert.equal(await there.value(count), 2);
});

test('a node that lacks acknowledged transactions leads once it has them', { skip }, async (t) => {
  const { candidates, leader, standby, third, connection } = await threeNodes(t);
  await third.stop();
  await connection.run(insert('acknowledged'));
  await durable(leader, candidates.nodes);
  await Promise.all([leader.kill(), standby.kill()]);
  await third.start();
  await third.line(/nobody leads/);
  await standby.start();
  assert.equal(await candidates.leader([standby, third]), standby);
  await leader.start();
  await assertInStep(candidates);
  assert.equal(await sqlite3(third.path('app.db'), 'SELECT value FROM entry'), 'acknowledged');
  assert.ok(!candidates.nodes.some(keepsSomething));
});

test('an old primary keeps the writes that nobody acknowledged, and then follows', { skip }, async (t) => {
  const { candidates, leader, standby, third, connection } = await threeNodes(t);
  await connection.run(insert('acknowledged'));
  await candidates.waitInStep();
  await Promise.all([standby.kill(), third.kill()]);
  for (const number of [1, 2, 3]) await connection.run(insert(`alone ${number}`));
  assert.ok(!(await isDurable(leader, 100)), 'nobody has them');
  await leader.kill();
  await Promise.all([standby.start(), third.start()]);
  const next = await candidates.leader([standby, third]);
  const there = new SqlConnection(t, next.path('app.db'));
  await there.run(insert('after'));
  await leader.start();
  await assertInStep(candidates);
  const kept = await leader.skein('lost', 'list', '--json');
  const { entries } = JSON.parse(kept.stdout);
  assert.deepEqual(
    entries.map(({ database, transactions }: Record<string, unknown>) => [database, transactions]),
    [['app.db', 3]],
  );
  const shown = (await leader.skein('lost', 'show', entries[0].id)).stdout;
  for (const number of [1, 2, 3])
    assert.match(shown, new RegExp(`^(?:INSERT|UPDATE).*'alone ${number}'`, 'm'));
  assert.doesNotMatch(shown, /'acknowledged'/);
  assert.equal(
    await sqlite3(leader.path('app.db'), 'SELECT value FROM entry ORDER BY value'),
    'acknowledged\nafter',
  );
  assert.match(await (await leader.fetch('/metrics')).text(), /^skein_lost_entries\{.*\} 1$/m);
});

test('a primary that was paused past its lease lets nothing through and follows', { skip }, async (t) => {
  const { candidates, leader, connection } = await threeNodes(t);
  const others = candidates.others(leader);
  const open = connectionsTo(t, others);
  await connection.run(insert('before'));
  await durable(leader, candidates.nodes);
  const pid = leader.pid ?? 0;
  await pause(pid);
  // The program goes on while its node stands still.
  await connection.run(insert('while paused'));
  const pausedMs = performance.now();
  const waited = post(leader, '/wait', { database: 'app.db', durability: 'replica', timeoutMs: 2_000 });
  const { tookMs } = await firstWrite(open, 'after', pausedMs);
  t.diagnostic(`first commit ${Math.round(tookMs)} ms after the pause began`);
  const next = await candidates.leader(others);
  await durable(next, candidates.nodes);
  process.kill(pid, 'SIGCONT');
  assert.notEqual((await waited).status, 200, 'the wait that came in the pause');
  await waitFor('the old primary to follow', async () => (await leader.state()).primary?.node === next.name);
  assert.equal(await connection.error(insert('too late')), 'SQLITE_BUSY');
  await assertInStep(candidates);
  assert.equal(await connection.value("SELECT group_concat(value, ' ') FROM entry"), 'before after');
  assert.ok(keepsSomething(leader), 'it keeps what was written in the pause');
  assert.ok(!others.some(keepsSomething));
});

test('a node that loses the lead while its release command runs kills that, and goes on', {
  skip,
}, async (t) => {
  const release = 'echo begun; mkdir "$SKEIN_DIR/../once" && exec sleep 60; exit 0';
  const toml = `[deploy]\nrelease_command = '${release}'\n[processes]\nweb = "exec sleep 60"\n`;
  const candidates = await TestCandidates.start(t, { toml });
  const leader = await candidates.leader();
  await leader.line(/release.*begun/);
  const seen = leader.lines.length;
  const pid = leader.pid ?? 0;
  await pause(pid);
  for (const node of candidates.others(leader)) await node.line(/nobody leads that this node can follow/);
  process.kill(pid, 'SIGCONT');
  await leader.line(/could not lead.*lost the lead/, seen);
  await leader.line(/release.*begun/, seen);
  for (const node of candidates.nodes) await node.line(/process started/);
  assert.equal(await candidates.settled(), leader);
});

test('a node that loses the lead while its release command runs starts nothing of the app before that has run', {
  skip,
}, async (t) => {
  const release =
    'echo begun; mkdir "$SKEIN_DIR/../once" && exec sleep 60; sleep 1; echo migrated > "$SKEIN_DIR/../migrated"';
  const web = 'cat "$SKEIN_DIR/../migrated"; echo app begun; exec sleep 60';
  const toml = `[deploy]\nrelease_command = '${release}'\n[processes]\nweb = '${web}'\n`;
  const candidates = await TestCandidates.create(t, { count: 1, toml });
  const [node] = candidates.nodes;
  await node.start();
  await node.line(/release.*begun/);
  const pid = node.pid ?? 0;
  await pause(pid);
  await delay(ttlMs + 500);
  process.kill(pid, 'SIGCONT');
  await node.line(/web.*app begun/);
  const starts = node.lines.filter((line) => /^web/.test(line));
  assert.deepEqual(
    starts.map((line) => line.replace(/^web *\| /, '')),
    ['migrated', 'app begun'],
  );
  assert.equal(node.lines.filter((line) => /process started/.test(line)).length, 1);
});

test('an empty node that is started first after all were stopped does not lead', { skip }, async (t) => {
  const { candidates, leader, third, connection } = await threeNodes(t);
  await connection.run(insert('acknowledged'));
  await candidates.waitInStep();
  await connection.close();
  await Promise.all(candidates.others(leader).map((node) => node.stop()));
  await leader.stop();
  rmSync(third.databases, { recursive: true });
  await third.start();
  await third.line(/nobody leads.*lacks acknowledged transactions of app\.db/);
  const others = candidates.others(third);
  await Promise.all(others.map((node) => node.start()));
  assert.notEqual(await candidates.leader(), third);
  await assertInStep(candidates);
  assert.equal(await sqlite3(third.path('app.db'), 'SELECT value FROM entry'), 'acknowledged');
});

test('where all nodes stop at once, none that is stopping comes to lead', { skip }, async (t) => {
  // What a node does that is slower to stop than the primary.
  const slow = `[processes]\napp = "trap '' INT TERM; sleep 3"\n`;
  const candidates = await TestCandidates.create(t, { count: 2, nodes: { ord: { toml: slow } } });
  const [ams, ord] = candidates.nodes;
  await ams.start();
  await candidates.leader([ams]);
  createLedger(ams.path('app.db'));
  await ord.start();
  await candidates.waitInStep();
  await ord.line(/process started/);
  const ordStops = ord.stop();
  await ord.line(/the node is stopping/);
  await ams.stop();
  await ordStops;
  assert.deepEqual(
    ord.lines.filter((line) => line.includes('this node leads')),
    [],
  );
  await ams.start();
  await candidates.leader([ams]);
});

test('all nodes killed at once come back with all that was acknowledged', { skip }, async (t) => {
  const { candidates, leader, connection } = await threeNodes(t);
  await connection.run(insert('acknowledged'));
  await durable(leader, candidates.nodes);
  await Promise.all(candidates.nodes.map((node) => node.kill()));
  await Promise.all(candidates.nodes.map((node) => node.start()));
  await candidates.settled();
  await assertInStep(candidates);
  assert.equal(await sqlite3(leader.path('app.db'), 'SELECT value FROM entry'), 'acknowledged');
});
