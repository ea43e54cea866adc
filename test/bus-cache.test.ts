import assert from 'node:assert/strict';
import { test } from 'node:test';
import { behindRelays } from './support/behind-relays.ts';
import { isLinked, linked, withApps } from './support/bus-cluster.ts';
import { BusProcess } from './support/bus-process.ts';
import { waitFor } from './support/wait-for.ts';

type Held = Readonly<Record<string, unknown>>;

/** Waits until all hold the same, and that is as wanted. */
async function converged(processes: readonly BusProcess[], isWanted: (held: Held) => boolean): Promise<Held> {
  let last = '';
  return waitFor(
    'all copies to be the same',
    async () => {
      const all = await Promise.all(processes.map((process) => process.do<Held>('cacheAll')));
      const texts = all.map((held) => JSON.stringify(held));
      last = texts.map((text) => text.slice(0, 300)).join('\n');
      return new Set(texts).size === 1 && isWanted(all[0]) && all[0];
    },
    { state: () => last },
  );
}

function has(held: Held, wanted: Held): boolean {
  return Object.entries(wanted).every(([key, value]) => JSON.stringify(held[key]) === JSON.stringify(value));
}

test('what is set is here at once and everywhere soon; deleted, cleared and expired values are gone everywhere', async (t) => {
  const { candidates, app } = await withApps(t);
  const processes = [...candidates.nodes.map(app), new BusProcess(t, candidates.nodes[0], 'second')];
  const [one, two, three] = processes;
  for (const process of processes) await process.do('cacheAll');
  await one.do('cacheSet', 'a', { price: 1 });
  assert.deepEqual(await one.do('cacheGet', 'a'), { price: 1 });
  await two.do('cacheSet', 'b', 'two');
  await three.do('cacheSet', 'short', 'gone soon', 400);
  await converged(processes, (held) => has(held, { a: { price: 1 }, b: 'two' }));
  await converged(processes, (held) => !('short' in held));
  await three.do('cacheSet', 'a', { price: 3 });
  await converged(processes, (held) => has(held, { a: { price: 3 } }));
  await two.do('cacheDelete', 'a');
  await converged(processes, (held) => !('a' in held) && 'b' in held);

  const late = new BusProcess(t, candidates.nodes[2], 'late');
  await converged([...processes, late], (held) => has(held, { b: 'two' }));
  await late.do('cacheClear');
  await converged([...processes, late], (held) => Object.keys(held).length === 0);
  await one.do('cacheSet', 'after', 1);
  await converged([...processes, late], (held) => has(held, { after: 1 }));
});

test('copies that were cut off from each other hold the same when they can talk again', async (t) => {
  const { relays, options } = await behindRelays(t);
  const { candidates, app } = await withApps(t, options);
  const processes = candidates.nodes.map(app);
  const [one, two, three] = processes;
  for (const process of processes) await process.do('cacheAll');
  await one.do('cacheSet', 'kept', 'before');
  await one.do('cacheSet', 'deleted', 'before');
  await converged(processes, (held) => has(held, { kept: 'before', deleted: 'before' }));

  for (const relay of relays) relay.stopTraffic();
  await waitFor('the cut to be noticed', async () => {
    const states = await Promise.all(candidates.nodes.map((node) => node.tryState()));
    return states.every((state) => !candidates.nodes.some(({ name }) => isLinked(state, name)));
  });
  await one.do('cacheSet', 'both', 'one');
  await two.do('cacheSet', 'both', 'two');
  await three.do('cacheDelete', 'deleted');
  await one.do('cacheFill', 'one-', 2_000);
  await two.do('cacheFill', 'two-', 2_000);
  assert.equal(await three.do('cacheGet', 'both'), undefined);
  assert.equal(await one.do('cacheGet', 'deleted'), 'before');

  for (const relay of relays) relay.resumeTraffic();
  await linked(candidates.nodes);
  const held = await converged(processes, (all) => Object.keys(all).length === 4_002);
  assert.ok(has(held, { kept: 'before', both: 'two', 'two-1999': { prefix: 'two-', number: 1_999 } }));
});

test('a process and its node that were apart exchange what they have; the cache outlives the process', async (t) => {
  const { candidates, replicas, app } = await withApps(t);
  const [node, other] = replicas;
  const [here, there] = [app(node), app(other)];
  for (const process of [here, there]) await process.do('cacheAll');
  await there.do('cacheSet', 'before', 1);
  await converged([here, there], (held) => has(held, { before: 1 }));
  await node.kill();
  await here.do('cacheSet', 'alone', 2);
  await there.do('cacheSet', 'meanwhile', 3);
  await node.start();
  await linked(candidates.nodes);
  await converged([here, there], (held) => has(held, { before: 1, alone: 2, meanwhile: 3 }));
  here.kill();
  const next = new BusProcess(t, node, 'next');
  await converged([next, there], (held) => has(held, { before: 1, alone: 2, meanwhile: 3 }));
});

test('a process that stood still while more was set than may wait for it has the newest of all', async (t) => {
  const { candidates, app } = await withApps(t);
  const [one, two, three] = candidates.nodes.map(app);
  for (const process of [one, two, three]) await process.do('cacheAll');
  await one.do('cacheRewrite', 200, 1, 10);
  await converged([one, two, three], (held) => Object.keys(held).length === 200);
  two.pause();
  const isAt = async (process: BusProcess, round: number) => {
    const rounds = await process.do<number[]>('cacheRounds');
    return rounds.length === 200 && rounds.every((at) => at === round);
  };
  for (let burst = 0; burst < 16; burst += 1) {
    await one.do('cacheRewrite', 200, 2 + burst, 8_000);
    await waitFor('the others to have all', () => isAt(three, 2 + burst));
  }
  two.resume();
  await waitFor('the newest of all', () => isAt(two, 17));
});
