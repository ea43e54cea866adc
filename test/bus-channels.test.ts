import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLinked, linked, withApps } from './support/bus-cluster.ts';
import { BusProcess } from './support/bus-process.ts';
import { waitFor } from './support/wait-for.ts';

/** Publishes until the other hears it: an interest takes a moment to come round. */
async function reaches(from: BusProcess, to: BusProcess, channel: string): Promise<void> {
  const probe = `probe ${Math.random()}`;
  await waitFor(`${from.name} to reach ${to.name}`, async () => {
    await from.do('publish', channel, probe);
    return (await to.do<unknown[]>('heard')).includes(probe);
  });
}

function withoutProbes(messages: readonly unknown[]): unknown[] {
  return messages.filter((message) => !(typeof message === 'string' && message.startsWith('probe')));
}

test('every process of every node that subscribes gets each message once, in order per publisher', async (t) => {
  const { candidates, app } = await withApps(t);
  const [one, two, three] = candidates.nodes.map(app);
  const second = new BusProcess(t, candidates.nodes[0], 'second');
  const deaf = new BusProcess(t, candidates.nodes[1], 'deaf');
  for (const process of [one, two, three, second]) await process.do('subscribe', 'news');
  await deaf.do('subscribe', 'other news');
  for (const from of [one, two]) for (const to of [one, two, three, second]) await reaches(from, to, 'news');
  const texts = Array.from({ length: 100 }, (_, index) => index);
  await Promise.all(
    [one, two].map((from) =>
      from.do('publish', 'news', ...texts.map((number) => ({ from: from.name, number }))),
    ),
  );
  for (const to of [one, two, three, second]) {
    const messages = await waitFor(`all messages at ${to.name}`, async () => {
      const heard = withoutProbes(await to.do<unknown[]>('heard')) as { from: string; number: number }[];
      return heard.length >= 200 && heard;
    });
    assert.equal(messages.length, 200);
    for (const from of [one, two])
      assert.deepEqual(
        messages.filter((message) => message.from === from.name).map(({ number }) => number),
        texts,
        `${from.name} to ${to.name}`,
      );
    assert.equal(await to.do('missed'), 0);
  }
  assert.deepEqual(await deaf.do('heard'), []);
  await three.do('unsubscribe', 'news');
  const count = (await three.do<unknown[]>('heard')).length;
  await reaches(one, two, 'news');
  assert.equal((await three.do<unknown[]>('heard')).length, count);
});

test('messages go on between replicas while there is no primary, and also after a node came back', async (t) => {
  const { candidates, leader, replicas, app } = await withApps(t, { ttl: '10s' });
  const [one, two] = replicas.map(app);
  for (const process of [one, two]) await process.do('subscribe', 'news');
  await reaches(one, two, 'news');
  await leader.kill();
  app(leader).kill();
  await waitFor('the loss to be noticed', async () => !isLinked(await replicas[0].tryState(), leader.name));
  await one.do('publish', 'news', 'nobody leads');
  await waitFor('the message', async () => (await two.do<unknown[]>('heard')).includes('nobody leads'));

  // Both know of each other by what the primary has told, and link again without it.
  await replicas[1].kill();
  await replicas[1].start();
  await linked(replicas);
  await reaches(one, two, 'news');
  assert.ok((await two.do<number>('missed')) >= 1_000_000, 'it was told that messages may have been lost');
  assert.equal((await replicas[0].tryState())?.primary, null, 'still nobody leads');
  await candidates.node(leader.name).start();
  await linked(candidates.nodes);
});

test('a process that does not read holds up nobody, loses the oldest, and is told how many', async (t) => {
  const { candidates, app } = await withApps(t);
  const [one, two, three] = candidates.nodes.map(app);
  for (const process of [two, three]) await process.do('subscribe', 'news');
  for (const to of [two, three]) await reaches(one, to, 'news');
  two.pause();
  const count = 4_000;
  for (let round = 0; round < 4; round += 1) {
    await one.do('flood', 'news', count / 4, 8_000);
    const wanted = ((round + 1) * count) / 4;
    await waitFor('the others to have all', async () => {
      const heard = await three.do<unknown[]>('heardNumbers');
      return heard.filter((number) => number !== undefined && number !== null).length >= wanted;
    });
  }
  two.resume();
  const [heard, missed] = await waitFor('the rest', async () => {
    const numbers = (await two.do<unknown[]>('heardNumbers')).filter((number) => typeof number === 'number');
    const lost = await two.do<number>('missed');
    return numbers.length + lost >= count && ([numbers, lost] as const);
  });
  assert.equal(heard.length + missed, count);
  assert.ok(missed > 0 && heard.length > 0, `${heard.length} heard, ${missed} missed`);
  assert.equal(heard.at(-1), count / 4 - 1, 'the newest came');
});
