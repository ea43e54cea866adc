import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ExampleNodes } from '../../test/support/example-nodes.ts';
import { freePorts } from '../../test/support/free-ports.ts';
import { post } from '../../test/support/test-candidates.ts';
import type { TestNode } from '../../test/support/test-node.ts';
import { waitFor } from '../../test/support/wait-for.ts';

type Answer = {
  readonly answered_in: string;
  readonly id: number;
  readonly downloaded_in: string;
  readonly words: number | null;
  readonly counted_in: string | null;
};

type Region = { readonly nodes: ExampleNodes; readonly downloads: () => Promise<Record<string, number>> };

/** The app in three regions, and the source that it downloads from. */
async function start(t: TestContext, variant: string, hasDoor: boolean): Promise<Region> {
  const [port] = await freePorts(1);
  const source = spawn(process.execPath, [join(import.meta.dirname, 'source.ts')], {
    env: { ...process.env, SOURCE_PORT: String(port), SOURCE_DELAY_MS: '150' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    source.kill('SIGKILL');
    if (source.exitCode === null && source.signalCode === null) await once(source, 'exit');
  });
  await once(source.stdout, 'data');
  source.stdout.resume();
  const url = `http://127.0.0.1:${port}`;
  const nodes = await ExampleNodes.start(t, {
    directory: join(import.meta.dirname, variant),
    readyPath: '/resources',
    hasDoor,
    environment: { SKEIN_ENV_SOURCE_URL: url },
  });
  const downloads = async () =>
    (await (await fetch(`${url}/downloads`)).json()) as Promise<Record<string, number>>;
  return { nodes, downloads };
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as Answer;
}

async function isWorking(node: TestNode): Promise<boolean> {
  const status = (await (await node.fetch('/status')).json()) as {
    processes: readonly { name: string; state: string }[];
  };
  return status.processes.some(({ name, state }) => name === 'worker' && state === 'running');
}

/** Where the words of a resource were counted, once they are. */
function countedIn(nodes: ExampleNodes, node: TestNode, id: number): Promise<string> {
  return waitFor(`the words of resource ${id}`, async () => {
    const { words, counted_in } = await read(await nodes.ask(node, `/resources/${id}`));
    if (words === null) return undefined;
    assert.equal(words, id);
    return counted_in ?? '';
  });
}

for (const { variant, hasDoor } of [
  { variant: 'unchanged', hasDoor: true },
  { variant: 'library', hasDoor: false },
]) {
  test(`${variant}: what a replica does not find is downloaded once, inserted on the primary, and there at once`, async (t) => {
    const { nodes, downloads } = await start(t, variant, hasDoor);
    const { candidates } = nodes;
    const leader = await candidates.leader();
    const [replica, other] = candidates.others(leader);
    const session = new Map<string, string>();
    for (let id = 1; id <= 5; id += 1) {
      const first = await read(await nodes.ask(replica, `/resources/${id}`, { session }));
      assert.deepEqual([first.id, first.downloaded_in], [id, leader.name]);
      for (const node of [replica, other]) {
        const again = await read(await nodes.ask(node, `/resources/${id}`, { session }));
        assert.deepEqual([again.id, again.answered_in, again.downloaded_in], [id, node.name, leader.name]);
      }
    }
    assert.deepEqual(await downloads(), { 1: 1, 2: 1, 3: 1, 4: 1, 5: 1 });

    const everywhere = [...candidates.nodes, ...candidates.nodes];
    const answers = await Promise.all(
      everywhere.map(async (node) => read(await nodes.ask(node, '/resources/6'))),
    );
    assert.deepEqual(new Set(answers.map(({ id }) => id)), new Set([6]));
    assert.equal((await downloads())[6], 1, 'all regions at once');

    assert.equal((await nodes.ask(other, '/resources/1001')).status, 404);
    const removed = await nodes.ask(replica, '/resources/6', { method: 'DELETE', session });
    assert.equal(removed.status, 204);
    const list = await nodes.ask(other, '/resources', { session });
    const { resources } = (await list.json()) as { resources: { id: number }[] };
    assert.deepEqual(
      resources.map(({ id }) => id),
      [1, 2, 3, 4, 5],
    );
  });

  test(`${variant}: what the primary's own clients have it download is on every node for them`, async (t) => {
    const { nodes, downloads } = await start(t, variant, hasDoor);
    const leader = await nodes.candidates.leader();
    for (let id = 1; id <= 20; id += 1) {
      const session = new Map<string, string>();
      const response = await nodes.ask(leader, `/resources/${id}`, { session });
      await read(response);
      if (hasDoor) {
        assert.equal(response.headers.get('skein-durability'), 'replica');
        assert.match(session.get('__txid') ?? '', /^[a-z]+%2Edb:[0-9a-f]{16}$/);
        assert.equal(response.headers.get('skein-wrote'), null, 'that is for the door');
      }
      for (const node of nodes.candidates.others(leader)) {
        const { answered_in } = await read(await nodes.ask(node, `/resources/${id}`, { session }));
        assert.equal(answered_in, node.name);
      }
    }
    assert.equal(Object.values(await downloads()).length, 20);
  });

  test(`${variant}: the tables are there before anything starts, and the worker is where the lead is`, async (t) => {
    const { nodes } = await start(t, variant, hasDoor);
    const { candidates } = nodes;
    const first = await candidates.leader();
    const has = (pattern: RegExp) => first.lines.findIndex((line) => pattern.test(line));
    assert.ok(has(/release command ended exit="exit code 0"/) >= 0, first.tail());
    assert.ok(has(/release command ended/) < has(/process started/), first.tail());
    assert.equal(await countedIn(nodes, candidates.others(first)[0], 1), first.name);

    const [second] = candidates.others(first);
    const handoff = await post(first, '/handoff', { node: second.name });
    assert.equal(handoff.status, 200, JSON.stringify(handoff.body));
    await candidates.settled();
    assert.equal(await countedIn(nodes, first, 2), second.name);
    const working = await Promise.all(candidates.nodes.map(isWorking));
    assert.deepEqual(
      working,
      candidates.nodes.map((node) => node === second),
    );

    await second.kill();
    const left = candidates.others(second);
    const held = await Promise.all(
      left.map(async (node, index) => read(await nodes.ask(node, `/resources/${3 + index}`))),
    );
    const third = await candidates.settled(left);
    for (const { id, downloaded_in } of held) {
      assert.equal(downloaded_in, third.name, 'held until somebody led');
      assert.equal(await countedIn(nodes, first, id), third.name);
    }
    for (const node of left) assert.equal(await isWorking(node), node === third);
    for (const node of candidates.nodes)
      assert.ok(node === first || node.lines.every((line) => !/^release/.test(line)), node.tail());
  });

  test(`${variant}: a handoff in the middle of downloads refuses nothing`, async (t) => {
    const { nodes } = await start(t, variant, hasDoor);
    const { candidates } = nodes;
    let isOver = false;
    let lastId = 0;
    const refused: string[] = [];
    const clients = candidates.nodes.flatMap((node) =>
      [1, 2].map(async () => {
        while (!isOver) {
          lastId += 1;
          const id = lastId;
          const response = await nodes.ask(node, `/resources/${id}`);
          const text = await response.text();
          if (response.status !== 200) refused.push(`${node.name} ${id}: ${response.status} ${text}`);
        }
      }),
    );
    let leader = await candidates.leader();
    for (let round = 0; round < 4; round += 1) {
      const before = lastId;
      await waitFor('downloads', () => lastId > before + 12);
      const [target] = candidates.others(leader);
      const { status, body } = await post(leader, '/handoff', { node: target.name });
      assert.equal(status, 200, JSON.stringify(body));
      leader = await candidates.settled();
    }
    isOver = true;
    await Promise.all(clients);
    assert.deepEqual(refused, []);
  });
}
