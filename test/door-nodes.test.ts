import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DoorNodes } from './support/door-nodes.ts';
import { RawPeer } from './support/raw-peer.ts';
import { post } from './support/test-candidates.ts';
import { waitFor } from './support/wait-for.ts';

type Answer = {
  readonly node: string;
  readonly id?: number;
  readonly notes?: readonly { id: number; text: string; node: string }[];
  readonly source?: string;
  readonly body?: string;
  readonly bytes?: number;
};

async function json(response: Response): Promise<Answer> {
  return (await response.json()) as Answer;
}

test('a write on a replica reaches the primary, and its client reads it there at once', async (t) => {
  const doors = await DoorNodes.start(t);
  const leader = await doors.candidates.leader();
  const [replica, other] = doors.candidates.others(leader);
  for (let round = 1; round <= 50; round += 1) {
    const written = await doors.post(replica, '/notes', `note ${round}`);
    const answer = await json(written);
    assert.deepEqual([written.status, answer.node], [201, leader.name]);
    assert.equal(written.headers.get('skein-durability'), 'replica');
    const cookie = written.headers.get('set-cookie') ?? '';
    assert.match(cookie, /^__txid=app%2Edb:[0-9a-f]{16}; Path=\/; Max-Age=300; HttpOnly; SameSite=Lax$/);
    const value = cookie.split(';')[0];
    for (const node of [replica, other]) {
      const read = await json(await doors.get(node, '/notes', { cookie: value }));
      assert.deepEqual([read.node, read.notes?.length], [node.name, round]);
    }
    const position = written.headers.get('skein-position') ?? '';
    assert.equal(`__txid=${position}`, value);
    assert.equal(
      (await json(await doors.get(other, '/notes', { 'skein-position': position }))).notes?.length,
      round,
    );
  }
});

test('a GET that turns out to write is replayed to the primary', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_NODE_SECRET: 'what-all-nodes-know' } });
  const leader = await doors.candidates.leader();
  const [replica, other] = doors.candidates.others(leader);
  const written = await doors.get(replica, '/write');
  assert.equal(written.status, 201);
  assert.equal((await json(written)).node, leader.name);
  assert.match(written.headers.get('set-cookie') ?? '', /^__txid=/);
  const orders = {
    [`instance=${other.name};state=abc`]: other.name,
    'region="xxx,syd"': 'syd',
    'region=ord;app=test': 'ord',
  };
  for (const [order, node] of Object.entries(orders)) {
    const answer = await json(await doors.post(replica, '/replay', 'what was sent', { 'x-order': order }));
    assert.deepEqual([answer.node, answer.body], [node, 'what was sent'], order);
    assert.match(answer.source ?? '', /^instance=\w+;region=\w+;t=\d{16}/);
    if (order.includes('state')) assert.match(answer.source ?? '', /;state=abc$/);
  }
  const foreign = await doors.post(replica, '/replay', '', { 'x-order': 'app=another;region=ams' });
  assert.deepEqual([foreign.status, foreign.headers.get('fly-replay')], [202, 'app=another;region=ams']);
});

test('a WebSocket on a path of writes is one with the primary', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_ALWAYS_FORWARD: '/socket' } });
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  const client = await RawPeer.connect(doors.port(replica));
  client.send('GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  assert.match(await client.take(`${leader.name}:`), /^HTTP\/1\.1 101 /);
  client.send('hello');
  await client.take('hello');
  client.end('last');
  assert.equal(await client.rest(), 'last');
});

const rounds = Number(process.env.SKEIN_TEST_HANDOFFS ?? 50);

test(`${rounds} handoffs under load refuse nothing, and each client finds its writes everywhere`, async (t) => {
  const doors = await DoorNodes.start(t);
  let isOver = false;
  const refused: string[] = [];
  const written = new Set<string>();
  const answered = async (what: string, asked: Promise<Response>, status: number) => {
    try {
      const response = await asked;
      const text = await response.text();
      if (response.status === status) return { response, text };
      refused.push(`${what}: ${response.status} ${text}`);
    } catch (error) {
      refused.push(`${what}: ${error}`);
    }
    return undefined;
  };
  const { nodes } = doors.candidates;
  const clients = nodes.flatMap((node, index) =>
    [1, 2, 3].map(async (number) => {
      for (let count = 1; !isOver; count += 1) {
        const note = `${node.name}-${number}-${count}`;
        const post = await answered(`POST ${note}`, doors.post(node, '/notes', note), 201);
        if (!post) continue;
        written.add(note);
        const other = nodes[(index + count) % nodes.length];
        const position = { 'skein-position': post.response.headers.get('skein-position') ?? '' };
        const get = await answered(
          `GET after ${note}`,
          doors.get(other, `/note?text=${note}`, position),
          200,
        );
        if (get && !get.text.includes(`"${note}"`)) refused.push(`${other.name} lacks ${note}: ${get.text}`);
      }
    }),
  );
  let leader = await doors.candidates.leader();
  for (let round = 0; round < rounds; round += 1) {
    const [target] = doors.candidates.others(leader);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const answer = await post(leader, '/handoff', { node: target.name });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    leader = await doors.candidates.settled();
  }
  isOver = true;
  await Promise.all(clients);
  assert.deepEqual(refused, []);
  await doors.candidates.waitInStep();
  const { notes = [] } = await json(await doors.get(leader, '/notes'));
  assert.ok(written.size > 50, `${written.size} notes`);
  assert.equal(notes.length, written.size, 'each is there once');
  assert.deepEqual(new Set(notes.map(({ text }) => text)), written);
});

test('a primary that is stopped in order refuses nothing that came by other nodes', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_PRIMARY_WAIT: '15s' } });
  const leader = await doors.candidates.leader();
  const others = doors.candidates.others(leader);
  await doors.post(leader, '/notes', 'first');
  let isOver = false;
  const statuses: number[] = [];
  const writers = others.flatMap((node) =>
    [1, 2].map(async () => {
      while (!isOver) {
        const response = await doors.post(node, '/notes', 'more');
        await response.text();
        statuses.push(response.status);
      }
    }),
  );
  await waitFor('some writes', () => statuses.length > 20);
  await leader.stop();
  const count = statuses.length;
  await waitFor('writes to go on', () => statuses.length > count + 20);
  isOver = true;
  await Promise.all(writers);
  assert.deepEqual([...new Set(statuses)], [201]);
});
