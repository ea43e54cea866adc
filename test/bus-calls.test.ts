import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notesOf, withApps } from './support/bus-cluster.ts';
import type { CallFailure } from './support/bus-process.ts';
import { post } from './support/test-candidates.ts';
import { waitFor } from './support/wait-for.ts';

test('a call from a replica runs on the primary, and the caller reads its own write', async (t) => {
  const { leader, replicas, app } = await withApps(t);
  for (const node of [...replicas, leader]) {
    for (let round = 0; round < 20; round += 1) {
      const answer = await app(node).do('noteAndCount', `${node.name} ${round}`);
      assert.deepEqual(answer, { by: leader.name, count: 1 });
    }
  }
  const concurrent = Array.from({ length: 50 }, (_, index) =>
    app(replicas[0]).do('noteAndCount', `at once ${index}`),
  );
  for (const answer of await Promise.all(concurrent)) assert.deepEqual(answer, { by: leader.name, count: 1 });
  assert.equal(notesOf(leader).length, 110);
});

test('values, nothing and errors cross between the nodes', async (t) => {
  const { leader, replicas, app } = await withApps(t);
  for (const node of [replicas[0], leader]) {
    const there = [1, 'ä\n\t"', null, { deep: [true] }];
    assert.deepEqual(await app(node).call('echo', ...there), there);
    assert.equal(await app(node).call('nothing'), undefined);
    await assert.rejects(app(node).call('fail'), (error: CallFailure) => {
      assert.deepEqual([error.name, error.message, error.code], ['RangeError', 'too far', 'FAR']);
      assert.doesNotMatch(
        error.stackThere ?? '',
        /functions|bus-app/,
        'the stack is not that of the other process',
      );
      return true;
    });
    assert.deepEqual(
      (await app(node).call<{ by: string }[]>('noteTwice', 'x')).map(({ by }) => by),
      [leader.name, leader.name],
      'a function of the primary calls another',
    );
  }
});

test('calls during handoffs all succeed, and each runs once', async (t) => {
  const { candidates, leader, app } = await withApps(t);
  let isOver = false;
  const made: string[] = [];
  const times: number[] = [];
  const callers = candidates.nodes.flatMap((node) =>
    [0, 1, 2].map(async (caller) => {
      for (let round = 0; !isOver; round += 1) {
        const value = `${node.name} ${caller} ${round}`;
        const startedMs = performance.now();
        const { count } = await app(node).do<{ count: number }>('noteAndCount', value);
        times.push(performance.now() - startedMs);
        assert.equal(count, 1, `${value} is read where it was called`);
        made.push(value);
      }
    }),
  );
  const running = Promise.all(callers);
  running.catch(() => undefined);
  let current = leader;
  for (let round = 0; round < 6; round += 1) {
    const next = candidates.nodes[(candidates.nodes.indexOf(current) + 1) % candidates.nodes.length];
    await waitFor(`${next.name} to follow ${current.name}`, async () =>
      (await current.state()).replicas.some(({ node, connected }) => node === next.name && connected),
    );
    const count = made.length;
    assert.equal((await post(current, '/handoff', { node: next.name })).status, 200, `handoff ${round}`);
    await waitFor('calls after the handoff', () => made.length > count + 20);
    current = next;
  }
  isOver = true;
  await running;
  await candidates.waitInStep();
  t.diagnostic(`${made.length} calls, the longest took ${Math.round(Math.max(...times))} ms`);
  for (const node of candidates.nodes) assert.deepEqual(notesOf(node).sort(), made.toSorted(), node.name);
});

test('a handoff lets functions that run end first, and those that they call', async (t) => {
  const { candidates, leader, replicas, app } = await withApps(t);
  const [target, other] = replicas;
  const slow = ['noteSlowly', 'noteSlowlyTwice'].map((name) => app(other).call(name, name, 700));
  await waitFor('both to run', () => notesOf(leader).length === 2);
  const handoff = post(leader, '/handoff', { node: target.name });
  const [once, twice] = (await Promise.all(slow)) as [{ by: string }, { by: string }[]];
  assert.equal((await handoff).status, 200);
  assert.deepEqual(
    [once, ...twice].map(({ by }) => by),
    Array(3).fill(leader.name),
  );
  assert.deepEqual(await app(other).do('noteAndCount', 'after'), { by: target.name, count: 1 });
  await candidates.waitInStep();
  assert.equal(notesOf(target).length, 4);
});

test('calls around the loss of the primary succeed, or say that they may have run, and never run twice', async (t) => {
  const { candidates, leader, replicas, app } = await withApps(t);
  let isOver = false;
  const made: string[] = [];
  const unknown: string[] = [];
  const again: string[] = [];
  const callers = replicas.flatMap((node) =>
    ['note', 'noteAgain'].map(async (name) => {
      for (let round = 0; !isOver; round += 1) {
        const value = `${name} ${node.name} ${round}`;
        try {
          await app(node).call(name, value, 0);
          (name === 'note' ? made : again).push(value);
        } catch (error) {
          assert.equal((error as CallFailure).code, 'CALL_OUTCOME_UNKNOWN');
          assert.equal(name, 'note', 'what may run twice is tried until its outcome is known');
          unknown.push(value);
        }
      }
    }),
  );
  const running = Promise.all(callers);
  running.catch(() => undefined);
  await waitFor('calls', () => made.length > 50 && again.length > 50);
  await leader.kill();
  app(leader).kill();
  const count = [made.length, again.length];
  await waitFor('calls after the loss', () => made.length > count[0] + 20 && again.length > count[1] + 20);
  isOver = true;
  await running;
  const next = await candidates.leader(replicas);
  const stored = notesOf(next);
  const notes = stored.filter((value) => value.startsWith('note '));
  assert.equal(new Set(notes).size, notes.length, 'none ran twice');
  for (const value of [...made, ...again])
    assert.ok(stored.includes(value), `${value} was answered and is there`);
  for (const value of notes) assert.ok(made.includes(value) || unknown.includes(value), value);
  assert.ok(unknown.length <= replicas.length, 'only those that were under way are in doubt');
});
