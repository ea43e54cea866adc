import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type AppAnswer, ClientCluster, sessionOf } from './support/client-cluster.ts';
import { pause } from './support/pause.ts';
import type { TestNode } from './support/test-node.ts';

const chunk = Buffer.alloc(1_000);

/** Its node's processes stand still, and not the app: until the test ends. */
async function freeze(t: TestContext, node: TestNode): Promise<() => void> {
  const { pid } = (await (await node.fetch('/status')).json()) as { pid: number };
  await pause(pid);
  const goOn = () => {
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      // The cluster has ended it.
    }
  };
  t.after(goOn);
  return goOn;
}

/** The first write that is taken once another node leads. */
async function written(cluster: ClientCluster, node: TestNode, text: string): Promise<AppAnswer> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const answer = await cluster.post(node, '/notes', { text });
    if (answer.status === 201) return answer;
  }
  throw new Error(`no node has come to lead: ${node.tail()}`);
}

test('an app whose node stands still gives up no session, and serves none what is old', {
  timeout: 120_000,
}, async (t) => {
  const cluster = await ClientCluster.start(t, 'express-app.js', { hasDoor: false });
  const { leader, replica } = cluster;
  await cluster.post(replica, '/notes', { text: 'first' });
  const goOn = await freeze(t, leader);
  const answer = await written(cluster, replica, 'mine');
  assert.equal(answer.headers['skein-durability'], 'replica');
  const headers = { cookie: sessionOf(answer) ?? '' };
  const read = () => cluster.ask(leader, `/notes/${answer.json.id}`, { headers });
  const frozen = await read();
  assert.deepEqual([frozen.status, frozen.headers['set-cookie']], [504, undefined], String(frozen.body));
  goOn();
  const thawed = await read();
  assert.deepEqual([thawed.status, thawed.headers['set-cookie']], [200, undefined], String(thawed.body));
  assert.deepEqual((thawed.json.note as { text: string } | null)?.text, 'mine');
});

test('a request under way at a primary that stands still ends, and is not made again by another', {
  timeout: 120_000,
}, async (t) => {
  const cluster = await ClientCluster.start(t, 'express-app.js', { hasDoor: false });
  const { leader, replica } = cluster;
  await cluster.post(replica, '/notes', { text: 'first' });
  async function* body() {
    yield chunk;
    // Time for the tunnel to open: what is not sent yet, another node would get.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await freeze(t, leader);
    yield chunk;
  }
  const headers = { 'content-type': 'application/octet-stream' };
  const { status, body: text } = await cluster.ask(replica, '/upload', {
    method: 'POST',
    headers,
    body: body(),
  });
  assert.equal(status, 502, String(text));
  assert.match(String(text), /may or may not/);
  await written(cluster, replica, 'later');
  const size = String(2 * chunk.length);
  assert.deepEqual(cluster.texts(replica).includes(size), false, 'nobody has made it again');
});
