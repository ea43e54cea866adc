import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { behindRelays } from './support/behind-relays.ts';
import { createNotes, isLinked, linked, notesOf, withApps } from './support/bus-cluster.ts';
import { BusProcess, type CallFailure } from './support/bus-process.ts';
import { pause } from './support/pause.ts';
import { post } from './support/test-candidates.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';

/** Three nodes whose links with each other a test can break. */
async function withRelays(t: TestContext, ...more: [Parameters<typeof behindRelays>[1]?]) {
  const { relays, options } = await behindRelays(t, ...more);
  const cluster = await withApps(t, options);
  const forAll = (act: 'cutAll' | 'stopTraffic' | 'resumeTraffic') => {
    for (const relay of relays) relay[act]();
  };
  /** Ends all links, with what is on them. */
  const renew = () => {
    forAll('cutAll');
    forAll('resumeTraffic');
  };
  /** Of one node: those that others made to it. */
  const renewOf = (node: TestNode) => {
    const relay = relays[cluster.candidates.nodes.indexOf(node)];
    relay.cutAll();
    relay.resumeTraffic();
  };
  return { ...cluster, forAll, renew, renewOf };
}

async function hasEnded(node: TestNode): Promise<boolean> {
  const metrics = await (await node.fetch('/metrics')).text();
  return /^skein_bus_runs_under_way\{.*\} 0$/m.test(metrics);
}

const hasFailed = (error: CallFailure) => error.code === 'CALL_OUTCOME_UNKNOWN';

test('a call whose link is lost before it came, while it runs, or before its answer came has run once, with its result', async (t) => {
  const { leader, replicas, app, candidates, forAll, renew } = await withRelays(t);
  for (const [index, node] of replicas.entries()) {
    const caller = app(node);
    const values = ['before', 'during', 'after'].map((when) => `${when} ${index}`);
    const rows = () => notesOf(leader).filter((value) => values.includes(value));

    forAll('stopTraffic');
    const before = caller.call<{ by: string }>('noteSlowly', values[0], 0);
    await caller.do('ready');
    renew();
    assert.equal((await before).by, leader.name);
    await linked(candidates.nodes);

    const during = caller.call<{ by: string }>('noteSlowly', values[1], 1_500);
    await waitFor('it to run', () => rows().includes(values[1]));
    forAll('cutAll');
    assert.equal((await during).by, leader.name);
    await linked(candidates.nodes);

    const after = caller.call<{ by: string }>('noteSlowly', values[2], 700);
    await waitFor('it to run', () => rows().includes(values[2]));
    forAll('stopTraffic');
    await waitFor('it to end', () => hasEnded(leader));
    renew();
    assert.equal((await after).by, leader.name);
    await linked(candidates.nodes);
    assert.deepEqual(rows(), values, 'each once');
  }
});

test('links that break again and again make no call run twice, and none unknown', async (t) => {
  const { leader, replicas, app, forAll } = await withRelays(t);
  const made: string[] = [];
  let isOver = false;
  const callers = replicas.flatMap((node) =>
    [0, 1, 2, 3].map(async (caller) => {
      for (let round = 0; !isOver; round += 1) {
        const value = `${node.name} ${caller} ${round}`;
        await app(node).call('noteSlowly', value, caller * 20);
        made.push(value);
      }
    }),
  );
  const all = Promise.all(callers);
  all.catch(() => undefined);
  for (let cut = 0; cut < 5; cut += 1) {
    const count = made.length;
    await waitFor('calls', () => made.length > count + 20);
    forAll('cutAll');
  }
  isOver = true;
  await all;
  assert.deepEqual(notesOf(leader).sort(), made.sort());
});

test('a primary that was started anew, or that another follows, leaves open what ran in it', async (t) => {
  const cluster = await TestCluster.start(t, { replicas: 1 });
  createNotes(cluster.primary);
  await cluster.waitInStep();
  await linked(cluster.nodes);
  const [there, here] = cluster.nodes.map((node) => new BusProcess(t, node));
  await there.do('ready');
  const slow = here.call('noteSlowly', 'once', 60_000);
  await waitFor('it to run', () => notesOf(cluster.primary).length === 1);
  await cluster.primary.kill();
  await cluster.primary.start();
  await assert.rejects(slow, hasFailed);
  assert.deepEqual(notesOf(cluster.primary), ['once']);

  const { leader, replicas, app, forAll, renew } = await withRelays(t);
  const moved = app(replicas[0]).call('noteSlowly', 'moved', 60_000);
  await waitFor('it to run', () => notesOf(leader).length === 1);
  const handoff = post(leader, '/handoff', { node: replicas[0].name });
  forAll('cutAll');
  await handoff;
  renew();
  await assert.rejects(moved, hasFailed);
});

test('a call whose write nobody else had is left open by the primary that ran it, once another has led without it', async (t) => {
  const more = { ams: { SKEIN_NODE_CANDIDATE: 'false' } };
  const { leader, app, candidates, forAll, renewOf } = await withRelays(t, more);
  const caller = candidates.node('ams');
  const [standby] = candidates.others(leader, caller);
  const call = app(caller).call('noteSlowlyTwice', 'lost', 1_500);
  const refused = assert.rejects(call, hasFailed);
  await waitFor('the first note everywhere', () => notesOf(standby).length === 1);
  forAll('stopTraffic');
  forAll('cutAll');
  await waitFor('it to end', async () => notesOf(leader).length === 2 && (await hasEnded(leader)));
  const pid = leader.pid ?? 0;
  await pause(pid);
  await candidates.leader([standby]);
  for (const value of ['later', 'and later']) await app(standby).call('note', value);
  process.kill(pid, 'SIGCONT');
  // The caller hears of the other after it has asked.
  renewOf(caller);
  renewOf(leader);
  await waitFor('the link', async () => isLinked(await caller.tryState(), leader.name));
  renewOf(standby);
  await refused;
  await waitFor('the chain', () => notesOf(caller).length === 3);
  assert.deepEqual(notesOf(caller), ['lost', 'later', 'and later']);
});
