import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { freePorts } from './support/free-ports.ts';
import { post, TestCandidates } from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';

type Told = {
  readonly info: { readonly primaryInstance: string; readonly currentIsPrimary: boolean };
  readonly sync: unknown;
  readonly txNumber: number;
  readonly instances: Readonly<Record<string, unknown>>;
  readonly domain: string;
};

const program = resolve(import.meta.dirname, 'support/litefs-js-app.mjs');

/** Two nodes, each with the app beside it; the one that leads first. */
async function started(t: TestContext): Promise<{ node: TestNode; app: string }[]> {
  const [one, two] = await freePorts(2);
  const ports: Readonly<Record<string, number>> = { ams: one, ord: two };
  const environment = (name: string) => ({ SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(ports[name]) });
  const candidates = await TestCandidates.start(t, {
    count: 2,
    toml: `[env]\nDATABASE_FILENAME = "app.db"\n[processes]\nweb = "exec node ${program}"\n`,
    nodes: { ams: { environment: environment('ams') }, ord: { environment: environment('ord') } },
  });
  const leader = await candidates.leader();
  const setup = new DatabaseSync(leader.path('app.db'));
  setup.exec('PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)');
  setup.close();
  await candidates.waitInStep();
  const both = [leader, ...candidates.others(leader)].map((node) => ({
    node,
    app: `http://127.0.0.1:${ports[node.name]}`,
  }));
  for (const { node, app } of both) {
    await waitFor(`the app of ${node.name}`, () => told(app).catch(() => undefined), {
      state: () => node.tail(),
    });
  }
  return both;
}

async function told(app: string): Promise<Told> {
  const answer = await fetch(`${app}/litefs`);
  assert.equal(answer.status, 200);
  return (await answer.json()) as Told;
}

test('litefs-js 2 works unchanged on a primary and a replica, and when the lead moves', async (t) => {
  const [first, second] = await started(t);
  const here = await told(first.app);
  const there = await told(second.app);
  assert.equal(here.info.currentIsPrimary, true);
  assert.deepEqual(here.sync, here.info);
  assert.deepEqual([there.info.currentIsPrimary, there.info.primaryInstance], [false, first.node.name]);
  assert.deepEqual(there.sync, there.info);
  assert.ok(here.txNumber > 0 && here.txNumber === there.txNumber);
  assert.equal(there.domain, `http://${first.node.name}.vm.test.internal:${new URL(second.app).port}`);
  assert.equal(
    Object.keys(here.instances).length,
    1,
    'without the platform’s DNS it knows this machine only',
  );

  const refused = await fetch(`${second.app}/notes`, { method: 'POST' });
  assert.deepEqual([refused.status, refused.headers.get('fly-replay')], [409, `instance=${first.node.name}`]);
  const written = await fetch(`${first.app}/notes`, { method: 'POST' });
  assert.equal(written.status, 201);
  const number = Number(/^txnum=(\d+); Path=\/; HttpOnly/.exec(written.headers.get('set-cookie') ?? '')?.[1]);
  // It reads `app.db-pos` within a fraction of a millisecond, and Skein writes that about one after the commit.
  assert.ok(number === here.txNumber || number === here.txNumber + 1, `${number} after ${here.txNumber}`);

  const now = await waitFor('the replica to have it', async () => {
    const { txNumber } = await told(second.app);
    return txNumber > here.txNumber ? txNumber : undefined;
  });
  const caughtUp = await fetch(`${second.app}/notes`, { headers: { cookie: `txnum=${now}` } });
  assert.deepEqual(await caughtUp.json(), { count: 1 });
  assert.match(caughtUp.headers.get('set-cookie') ?? '', /^txnum=0; .*Expires=Thu, 01 Jan 1970/);
  const ahead = await fetch(`${second.app}/notes`, { headers: { cookie: `txnum=${now + 9}` } });
  assert.deepEqual([ahead.status, ahead.headers.get('fly-replay')], [409, `instance=${first.node.name}`]);
  const waited = (number: number) => fetch(`${second.app}/wait/${number}`).then((answer) => answer.json());
  assert.equal(await waited(now), true);
  assert.equal(await waited(now + 9), false);

  assert.equal((await post(first.node, '/handoff', {})).status, 200);
  await waitFor('litefs-js to see who leads', async () => {
    const infos = await Promise.all([told(first.app), told(second.app)]);
    return infos[0].info.primaryInstance === second.node.name && infos[1].info.currentIsPrimary;
  });
  assert.equal((await fetch(`${second.app}/notes`, { method: 'POST' })).status, 201);
  assert.equal((await fetch(`${first.app}/notes`, { method: 'POST' })).status, 409);
});
