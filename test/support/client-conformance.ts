import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { type AppAnswer, ClientCluster, sessionOf } from './client-cluster.ts';
import { type CandidatesOptions, post } from './test-candidates.ts';

const uploadChunks = 400;
const chunkBytes = 65_536;

/** What an app with the library does, whatever the framework. `app` is a file of `test/client-apps`. */
export function conformsTo(
  app: string,
  options: CandidatesOptions & { readonly command?: string; readonly hasDoor?: boolean } = {},
): void {
  const start = (t: TestContext) => ClientCluster.start(t, app, options);

  test(`${app}: what was written is read back at once, on every node, and by no other way than the session`, async (t) => {
    const cluster = await start(t);
    const { leader, replica } = cluster;
    for (const [at, node] of [leader, replica, replica, leader].entries()) {
      const written = await cluster.post(node, '/notes', { text: `note ${at}` });
      assert.equal(written.status, 201, written.body.toString());
      const cookie = sessionOf(written);
      assert.match(cookie ?? '', /^__txid=app%2Edb:[0-9a-f]{16}$/);
      assert.equal(written.headers['skein-position'], cookie?.slice('__txid='.length));
      assert.match(String(written.headers['set-cookie']), /; Path=\/; Max-Age=300; HttpOnly; SameSite=Lax$/);
      for (const reader of cluster.candidates.nodes) {
        const read = await cluster.ask(reader, '/notes', { headers: { cookie: `a=b; ${cookie}` } });
        assert.deepEqual(read.json, { count: at + 1, last: at + 1, node: reader.name });
        const position = String(written.headers['skein-position']);
        const found = await cluster.ask(reader, `/notes/${at + 1}`, {
          headers: { 'skein-position': position },
        });
        assert.deepEqual(found.json, { note: { text: `note ${at}`, node: leader.name }, node: reader.name });
      }
    }
    await readsAndFailures(cluster, options.hasDoor === true);
    await largeBodies(cluster);
    await writingReads(cluster);
  });

  test(`${app}: no request is refused while the lead moves under load, and no write is lost or made twice`, async (t) => {
    await underHandoffs(await start(t));
  });
}

/** A head without a body, a position from nowhere, an app that fails. */
async function readsAndFailures(cluster: ClientCluster, hasDoor: boolean): Promise<void> {
  const { leader, replica } = cluster;
  const head = await cluster.ask(replica, '/notes', { method: 'HEAD' });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  assert.equal(head.headers['set-cookie'], undefined, 'a read sets no cookie');

  const cookie = '__txid=00000000ffffffff';
  const ahead = await cluster.ask(leader, '/notes', { headers: { cookie } });
  assert.equal(ahead.status, 200);
  assert.match(
    String(ahead.headers['set-cookie']),
    // The door leaves the session what there is, since it may have seen that: the table and four notes.
    hasDoor ? /__txid=app%2Edb:0{15}5; Path=\/; Max-Age=300/ : /__txid=; Path=\/; Max-Age=0/,
    'a position that is not goes',
  );
  for (const nonsense of [
    '__txid=',
    '__txid=zz',
    '__txid=other.db:0000000000000001x',
    `__txid=${'a'.repeat(5_000)}`,
  ])
    assert.equal(
      (await cluster.ask(replica, '/notes', { headers: { cookie: nonsense } })).status,
      200,
      nonsense,
    );

  for (const node of [leader, replica]) {
    const failed = await cluster.ask(node, '/fail', { method: 'POST' });
    assert.equal(failed.status, 500);
    assert.ok(sessionOf(failed), 'what was written before a failure is written');
  }
}

/** Sizes that nobody keeps in memory, both ways, through a replica. */
async function largeBodies(cluster: ClientCluster): Promise<void> {
  const { replica, leader } = cluster;
  const hash = createHash('sha256');
  async function* body() {
    for (let index = 0; index < uploadChunks; index += 1) {
      const chunk = Buffer.alloc(chunkBytes, index);
      hash.update(chunk);
      yield chunk;
    }
  }
  const headers = { 'content-type': 'application/octet-stream' };
  const sent = await cluster.ask(replica, '/upload', { method: 'POST', headers, body: body() });
  assert.equal(sent.status, 200, sent.body.toString());
  assert.equal(sent.json.bytes, uploadChunks * chunkBytes);
  assert.equal(sent.json.sha256, hash.digest('hex'));
  for (const node of [leader, replica]) {
    const { status, headers, body } = await cluster.ask(node, '/stream/64', { method: 'POST' });
    assert.deepEqual([status, body.length], [200, 64 * chunkBytes]);
    const cookies = [headers['set-cookie'] ?? []].flat();
    assert.equal(cookies.length, 2, `the app's own cookie and ours: ${cookies}`);
    assert.ok(cookies.includes('own=kept; Path=/'));
    for (let index = 0; index < 64; index += 1) assert.equal(body[index * chunkBytes], index);
  }
}

/** A GET that turns out to write has the primary answer, with what it wrote to be read at once. */
async function writingReads(cluster: ClientCluster): Promise<void> {
  for (const node of cluster.candidates.nodes) {
    const visit = await cluster.ask(node, '/visit');
    assert.equal(visit.status, 200, visit.body.toString());
    const read = await cluster.ask(node, `/notes/${visit.json.id}`, {
      headers: { cookie: sessionOf(visit) ?? '' },
    });
    assert.deepEqual(read.json, { note: { text: 'a visit', node: cluster.leader.name }, node: node.name });
  }
  const careful = await cluster.ask(cluster.replica, '/careful');
  assert.deepEqual(
    [careful.status, careful.json.id],
    [200, null],
    'an app that deals with the refusal is left alone',
  );
}

async function underHandoffs(cluster: ClientCluster): Promise<void> {
  const { nodes } = cluster.candidates;
  let isOver = false;
  const acknowledged: string[] = [];
  const problems: string[] = [];
  const client = async (name: string, index: number) => {
    let cookie = '';
    for (let number = 0; !isOver; number += 1) {
      const node = nodes[(number + index) % nodes.length] ?? cluster.leader;
      const text = `${name} ${number}`;
      const answer = await outcome(() => cluster.post(node, '/notes', { text }, cookie ? { cookie } : {}));
      if (typeof answer === 'string' || answer.status !== 201) {
        problems.push(`${text} on ${node.name}: ${describe(answer)}`);
        continue;
      }
      acknowledged.push(text);
      cookie = sessionOf(answer) ?? cookie;
      const reader = nodes[(number + index + 1) % nodes.length] ?? cluster.leader;
      const read = await outcome(() =>
        cluster.ask(reader, `/notes/${answer.json.id}`, { headers: { cookie } }),
      );
      const note = typeof read === 'string' ? undefined : (read.json.note as { text: string } | null);
      if (note?.text !== text) problems.push(`${text} read on ${reader.name}: ${describe(read)}`);
    }
  };
  const clients = ['a', 'b', 'c', 'd'].map(client);
  let current = cluster.leader;
  for (let round = 0; round < 6; round += 1) {
    const next = nodes[(nodes.indexOf(current) + 1) % nodes.length] ?? current;
    const goal = acknowledged.length + 20;
    while (acknowledged.length < goal && problems.length === 0)
      await new Promise((done) => setTimeout(done, 20));
    const { status, body } = await post(current, '/handoff', { node: next.name });
    assert.equal(status, 200, JSON.stringify(body));
    current = await cluster.candidates.settled();
  }
  isOver = true;
  await Promise.all(clients);
  assert.deepEqual(problems, [], nodes.map((node) => node.tail()).join('\n'));
  await cluster.candidates.waitInStep();
  const texts = cluster.texts(current).filter((text) => /^[abcd] \d+$/.test(text));
  assert.deepEqual(texts.sort(), acknowledged.sort());
}

async function outcome(run: () => Promise<AppAnswer>): Promise<AppAnswer | string> {
  return run().catch((error: unknown) => String(error));
}

function describe(answer: AppAnswer | string): string {
  return typeof answer === 'string' ? answer : `${answer.status} ${answer.body.toString().slice(0, 300)}`;
}
