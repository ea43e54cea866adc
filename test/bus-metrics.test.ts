import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withApps } from './support/bus-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';

/** By name and labels but for those that all have, the figures of the bus. */
async function figuresOf(node: TestNode): Promise<Readonly<Record<string, number>>> {
  const text = await (await node.fetch('/metrics')).text();
  const lines = text.split('\n').filter((line) => line.startsWith('skein_bus_'));
  return Object.fromEntries(
    lines.map((line) => {
      const [, name = '', labels = '', value] = /^skein_bus_(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
      const own = labels.split(',').filter((label) => !/^(app|node|region)=/.test(label));
      return [[name, ...own].join(' '), Number(value)];
    }),
  );
}

test('a node tells how its bus is linked, how calls ended, and what messages and caches there were', async (t) => {
  const { leader, replicas, app } = await withApps(t);
  const [here, other] = replicas;
  const caller = app(here);
  await caller.call('note', 'one');
  await caller.call('note', 'two');
  await assert.rejects(caller.call('fail'));
  await assert.rejects(caller.do('call', 'noteSlowly', ['three', 60_000], { timeoutMs: 300 }));
  const slow = caller.call('noteSlowly', 'four', 2_000);
  await waitFor('it to run', async () => (await figuresOf(leader)).runs_under_way > 1);
  const during = await figuresOf(here);
  assert.deepEqual(
    [during.nodes_linked, during.processes_linked, during.calls_under_way, during.runs_under_way],
    [2, 1, 1, 0],
  );
  await slow;
  const after = await figuresOf(here);
  const calls = ['done', 'failed', 'late', 'refused', 'unknown'].map(
    (outcome) => after[`calls_total outcome="${outcome}"`],
  );
  assert.deepEqual(calls, [3, 1, 0, 0, 1]);
  assert.equal(after.calls_under_way, 0);

  await Promise.all([here, other].map((node) => app(node).do('subscribe', 'room')));
  await waitFor('messages to arrive', async () => {
    await caller.do('publish', 'room', 'hello');
    return (await app(other).do<unknown[]>('heard')).length > 0;
  });
  const [from, to] = [await figuresOf(here), await figuresOf(other)];
  assert.ok(from.messages_received_total > 0 && from.messages_sent_total > 0);
  assert.ok(to.messages_received_total > 0 && to.messages_sent_total > 0);
  assert.equal(from.messages_dropped_total, 0);
  app(other).pause();
  await waitFor('some to be dropped', async () => {
    // Where the way to there is slow, the caller's own process drops some of it before.
    await caller.do('flood', 'room', 300, 100_000);
    return (await figuresOf(other)).messages_dropped_total > 0;
  });
  app(other).resume();

  await caller.do('cacheSet', 'key', 'value');
  // After all that was published before.
  await waitFor('the value', async () => (await figuresOf(here))['cache_entries cache="prices"'] === 1);
  assert.ok((await figuresOf(here))['cache_bytes cache="prices"'] > 'keyvalue'.length);
});
