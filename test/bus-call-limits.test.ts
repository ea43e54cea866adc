import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { createNotes, linked, notesOf, withApps } from './support/bus-cluster.ts';
import { BusProcess, type CallFailure } from './support/bus-process.ts';
import { TestCandidates } from './support/test-candidates.ts';
import { TestCluster } from './support/test-cluster.ts';
import { waitFor } from './support/wait-for.ts';

function hasCode(code: string) {
  return (error: CallFailure) => {
    assert.equal(error.code, code, error.message);
    return true;
  };
}

test('processes of the primary take turns, the one that calls runs its own, and one that has ended gets none', async (t) => {
  const { leader, replicas, app } = await withApps(t);
  const others = ['second', 'third'].map((name) => new BusProcess(t, leader, name));
  for (const other of others) assert.equal(await other.call('who'), other.name, 'its own');
  const ran = new Map<string, number>();
  for (let round = 0; round < 30; round += 1) {
    const who = await app(replicas[0]).call<string>('who');
    ran.set(who, (ran.get(who) ?? 0) + 1);
  }
  assert.deepEqual(
    [...ran].sort(),
    [
      [leader.name, 10],
      ['second', 10],
      ['third', 10],
    ].sort(),
  );
  app(leader).kill();
  await waitFor('its end to be noticed', async () => {
    // One that was sent to it a moment ago is in doubt.
    const ask = () =>
      app(replicas[0])
        .call<string>('who')
        .catch(() => leader.name);
    const rounds = await Promise.all([0, 1, 2].map(ask));
    return !rounds.includes(leader.name);
  });
});

test('a process that ends while it runs a function leaves the outcome open, or another runs it again', async (t) => {
  const { leader, replicas, app } = await withApps(t);
  const caller = app(replicas[0]);
  const slow = caller.call('noteSlowly', 'once', 60_000);
  const again = caller.call('noteAgain', 'again', 300);
  await waitFor('both to run', () => notesOf(leader).length === 2);
  app(leader).kill();
  await assert.rejects(slow, hasCode('CALL_OUTCOME_UNKNOWN'));
  new BusProcess(t, leader, 'next');
  await again;
  assert.deepEqual(notesOf(leader), ['once', 'again', 'again'].sort().reverse());
});

test('a call that takes too long, or that nobody runs, is told of with what is known', async (t) => {
  const { leader, replicas, app } = await withApps(t, { ttl: '10s' });
  const caller = app(replicas[0]);
  await assert.rejects(
    caller.do('call', 'noteSlowly', ['slow', 5_000], { timeoutMs: 500 }),
    hasCode('CALL_OUTCOME_UNKNOWN'),
  );
  await assert.rejects(caller.do('call', 'nobody has it', [], { timeoutMs: 1_000 }), (error: CallFailure) =>
    /CALL_NOT_SERVED|PRIMARY_UNREACHABLE/.test(error.code ?? ''),
  );
  await assert.rejects(caller.call('echo', 'x'.repeat(1 << 20)), hasCode('PAYLOAD_TOO_LARGE'));
  const large = 'x'.repeat((1 << 20) - 10);
  assert.deepEqual(await caller.call('echo', large), [large]);
  await leader.kill();
  app(leader).kill();
  await replicas[1].kill();
  await assert.rejects(
    caller.do('call', 'note', ['held'], { timeoutMs: 1_500 }),
    hasCode('PRIMARY_UNREACHABLE'),
  );
  await replicas[0].kill();
  await assert.rejects(
    caller.do('call', 'note', ['no node'], { timeoutMs: 500 }),
    hasCode('NODE_UNREACHABLE'),
  );
});

test('with a primary that never changes, calls wait for it and run when it is back', async (t) => {
  const cluster = await TestCluster.start(t, { replicas: 2 });
  createNotes(cluster.primary);
  await cluster.waitInStep();
  // The replicas too, of which neither knows the other but by what the primary tells.
  await linked(cluster.nodes);
  const [there, here] = cluster.nodes.map((node) => new BusProcess(t, node));
  assert.deepEqual(await here.do('noteAndCount', 'one'), { by: 'primary', count: 1 });
  assert.equal((await there.call<{ by: string }>('strict', 'two')).by, 'primary');
  await cluster.primary.stop();
  const held = here.do('noteAndCount', 'three');
  await cluster.primary.start();
  assert.deepEqual(await held, { by: 'primary', count: 1 });
});

test('durability that was asked for and does not come is told of, with the result', async (t) => {
  const cluster = await TestCluster.start(t, { replicas: 0 });
  createNotes(cluster.primary);
  const app = new BusProcess(t, cluster.primary);
  assert.equal((await app.call<{ id: number }>('note', 'alone')).id, 1, 'nobody else: it does not wait');
  await assert.rejects(app.do('call', 'strict', ['alone too'], { timeoutMs: 700 }), (error: CallFailure) => {
    hasCode('WAIT_TIMEOUT')(error);
    assert.deepEqual(error.result, { id: 2, by: 'primary' });
    return true;
  });
});

test('processes that the node runs have the bus by their token, and nodes link by the secret', async (t) => {
  const script = resolve(import.meta.dirname, 'support/bus-greeter.ts');
  const toml = `[processes.greeter]\ncommand = "exec ${process.execPath} ${script}"\n`;
  const environment = { SKEIN_NODE_SECRET: 'a-secret-for-the-test' };
  const candidates = await TestCandidates.start(t, { toml, environment });
  const leader = await candidates.leader();
  for (const node of candidates.nodes) await node.line(new RegExp(`greeter .*hello from ${leader.name}`));
  const [other] = candidates.others(leader);
  const stranger = new BusProcess(t, other, 'stranger');
  await assert.rejects(stranger.do('call', 'note', ['x'], { timeoutMs: 500 }), (error: CallFailure) => {
    assert.match(error.message, /SKEIN_TOKEN/);
    return hasCode('NODE_UNREACHABLE')(error);
  });
});
