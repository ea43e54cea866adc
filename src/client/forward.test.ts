import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { Forward } from './forward.ts';
import { ask, listen, StandInNode } from './test-support.ts';

const silenceMs = 200;

type Primary = { readonly asked: string[]; readonly began: Promise<unknown> };

/** A primary that takes what it gets, and answers with `head` and no more; undefined for not a word. */
async function startSilent(t: TestContext, node: StandInNode, head?: string): Promise<Primary> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    if (head !== undefined) response.write(head);
  });
  node.tunnelPort = await listen(t, server);
  return { asked, began: once(server, 'request') };
}

async function listenForwarding(t: TestContext, node: StandInNode): Promise<number> {
  const forward = new Forward(await node.local(), 500, silenceMs);
  return listen(
    t,
    createServer((request, response) => void forward.send({ request, response })),
  );
}

async function replica(t: TestContext): Promise<StandInNode> {
  const node = await StandInNode.start(t);
  node.isPrimary = false;
  node.primary = 'other';
  return node;
}

test('a request under way at a primary that is silent and leads no more is answered with 502, and not sent again', async (t) => {
  for (const lose of [
    (node: StandInNode) => node.become(false, 'third'),
    (node: StandInNode) => node.become(true, 'self'),
    (node: StandInNode) => node.become(false, undefined),
    (node: StandInNode) => {
      // No event comes: it leads anew, after this node was out of touch.
      node.epoch = 2;
    },
    (node: StandInNode) => {
      node.canWrite = undefined;
    },
  ]) {
    const node = await replica(t);
    const { asked, began } = await startSilent(t, node);
    const port = await listenForwarding(t, node);
    const answer = ask(port, { method: 'POST', body: 'x' });
    await began;
    await node.asked(3);
    lose(node);
    const { status, body } = await answer;
    assert.deepEqual([status, asked], [502, ['POST /']], `${lose}`);
    assert.match(body, /may or may not/);
  }
});

test('an answer that has begun is broken off then', async (t) => {
  const node = await replica(t);
  const { began } = await startSilent(t, node, 'begun');
  const port = await listenForwarding(t, node);
  const answer = ask(port, { method: 'POST' });
  await began;
  node.become(false, 'third');
  await assert.rejects(answer, { code: 'ECONNRESET' });
});

test('a slow answer of a node that leads is waited for', async (t) => {
  const node = await replica(t);
  const server = createServer(async (_request, response) => {
    await node.asked(6);
    response.end('at last');
  });
  node.tunnelPort = await listen(t, server);
  const { body } = await ask(await listenForwarding(t, node), { method: 'POST' });
  assert.equal(body, 'at last');
});
