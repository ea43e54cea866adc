import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExampleNodes } from '../../test/support/example-nodes.ts';
import { post } from '../../test/support/test-candidates.ts';
import type { TestNode } from '../../test/support/test-node.ts';
import { skipWithout } from '../../test/tools.ts';

const options = { directory: import.meta.dirname, readyPath: '/links', hasDoor: true };
const skip = skipWithout('flask');

type Session = Map<string, string>;

async function add(nodes: ExampleNodes, node: TestNode, url: string, session?: Session): Promise<void> {
  const body = new URLSearchParams({ url });
  const response = await nodes.ask(node, '/links', {
    method: 'POST',
    body,
    ...(session ? { session } : {}),
  });
  const text = await response.text();
  assert.equal(response.status, 303, text);
}

async function links(nodes: ExampleNodes, node: TestNode, session?: Session): Promise<Map<string, number>> {
  const response = await nodes.ask(node, '/links', session ? { session } : {});
  const list = (await response.json()) as { url: string; clicks: number }[];
  return new Map(list.map(({ url, clicks }) => [url, clicks]));
}

test('a POST on a replica of a Flask app is seen by the GET after it, on every node', { skip }, async (t) => {
  const nodes = await ExampleNodes.start(t, options);
  const leader = await nodes.candidates.leader();
  const [replica, other] = nodes.candidates.others(leader);
  const session: Session = new Map();
  for (let number = 1; number <= 20; number += 1) {
    const url = `https://example.org/${number}`;
    await add(nodes, replica, url, session);
    for (const node of [replica, other, leader])
      assert.equal((await links(nodes, node, session)).size, number, `${url} on ${node.name}`);
  }
  const refused = await nodes.ask(replica, '/links', { method: 'POST', body: new URLSearchParams() });
  assert.equal(refused.status, 400);
});

test('a GET that writes goes to the primary where the configuration says so', { skip }, async (t) => {
  const nodes = await ExampleNodes.start(t, options);
  const leader = await nodes.candidates.leader();
  const [replica, other] = nodes.candidates.others(leader);
  const session: Session = new Map();
  await add(nodes, replica, 'https://example.org/', session);
  for (let clicks = 1; clicks <= 5; clicks += 1) {
    const gone = await nodes.ask(other, '/go/1', { session });
    assert.deepEqual([gone.status, gone.headers.get('location')], [302, 'https://example.org/']);
    assert.equal((await links(nodes, replica, session)).get('https://example.org/'), clicks);
  }
});

test('a Flask app refuses nothing through a handoff and the loss of its primary', { skip }, async (t) => {
  const nodes = await ExampleNodes.start(t, options);
  const { candidates } = nodes;
  const first = await candidates.leader();
  const [second, third] = candidates.others(first);
  await add(nodes, third, 'https://example.org/1');
  const handoff = post(first, '/handoff', { node: second.name });
  const session: Session = new Map();
  for (let number = 2; number <= 20; number += 1)
    await add(nodes, third, `https://example.org/${number}`, session);
  assert.equal((await handoff).status, 200);
  await candidates.settled();

  await second.kill();
  await add(nodes, third, 'https://example.org/21', session);
  const left = candidates.others(second);
  for (const node of left) assert.equal((await links(nodes, node, session)).size, 21, node.name);
  const release = candidates.nodes.filter(({ lines }) => lines.some((line) => line.startsWith('release')));
  assert.deepEqual(release, [first], 'the tables were made once');
});
