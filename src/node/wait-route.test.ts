import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../base/errors.ts';
import { checksum, checksumFlag, formatPosition, type Position, txid } from '../ltx/position.ts';
import { ApiServer } from './api-server.ts';
import type { Replication } from './replication.ts';
import { WaitRoute } from './wait-route.ts';

function at(n: number): Position {
  return { txid: txid(n), checksum: checksum(checksumFlag | BigInt(n)) };
}

/** What the route sees of a node: one database, whose position and holders the test moves. */
class TestReplication
  implements
    Pick<
      Replication,
      'role' | 'position' | 'currentPosition' | 'contradicts' | 'isDurable' | 'holders' | 'onProgress'
    >
{
  name = 'a.db';
  isOver = false;
  role: Replication['role'] = 'primary';
  local = at(5);
  held: { node: string; candidate: boolean; position: Position }[] = [];
  readonly progress = new EventEmitter();

  position(database: string): Position | undefined {
    return database === this.name ? this.local : database === 'new.db' ? this.second : undefined;
  }

  /** A second database, once it was looked for: nobody holds it at first. */
  second: Position | undefined;
  hasLooked = false;

  look(): void {
    this.hasLooked = true;
  }

  positions(): ReadonlyMap<string, Position> {
    const all = new Map([[this.name, this.local]]);
    return this.second && this.hasLooked ? all.set('new.db', this.second) : all;
  }

  async currentPosition(database: string): Promise<Position> {
    if (database === 'new.db' && this.second) return this.second;
    if (database !== 'a.db') throw new SkeinError('DATABASE_NOT_FOUND', `There is no ${database}.`);
    return this.local;
  }

  contradicts(_database: string, position: Position): boolean {
    return position.txid <= this.local.txid && position.checksum !== at(position.txid).checksum;
  }

  isDurable(database: string, position: Position): boolean {
    if (database === 'new.db') return this.held.some(({ node }) => node === 'third');
    return this.held.some((holder) => holder.candidate && holder.position.txid >= position.txid);
  }

  holders(_database: string, position: Position): { node: string; candidate: boolean }[] {
    return this.held.filter((holder) => holder.position.txid >= position.txid);
  }

  onProgress(listener: () => void): () => void {
    this.progress.on('progress', listener);
    return () => this.progress.off('progress', listener);
  }

  move(change: () => void): void {
    change();
    this.progress.emit('progress');
  }
}

type Answer = { position: string; nodes: string[]; error: { code: string; message: string } };

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function start(t: TestContext) {
  const replication = new TestReplication();
  const newDatabases = { look: async () => replication.look() };
  const route = new WaitRoute(
    () => replication as unknown as Replication,
    newDatabases,
    () => 3,
  );
  const port = await freePort();
  const server = new ApiServer({
    listen: { host: '127.0.0.1', port },
    secret: undefined,
    routes: new Map([['POST /wait', (call) => route.answer(call)]]),
    upgrades: new Map(),
    failed: (message, fields) => assert.fail(`${message} ${JSON.stringify(fields)}`),
  });
  await server.listen();
  t.after(() => server.close());
  const wait = async (body: object | string, signal?: AbortSignal) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const url = `http://127.0.0.1:${port}/wait`;
    const response = await fetch(url, { method: 'POST', body: text, signal, keepalive: false });
    return { status: response.status, body: (await response.json()) as Answer };
  };
  /** Resolves when a request waits. */
  const waiting = async () => {
    while (replication.progress.listenerCount('progress') === 0) await new Promise(setImmediate);
  };
  return { replication, wait, waiting };
}

test('a position that is reached is answered at once, with those who hold it', async (t) => {
  const { replication, wait } = await start(t);
  replication.held = [
    { node: 'two', candidate: true, position: at(5) },
    { node: 'far', candidate: false, position: at(4) },
  ];
  assert.deepEqual(await wait({ database: 'a.db' }), {
    status: 200,
    body: { position: formatPosition(at(5)), nodes: ['two'], role: 'primary', chainEpoch: 3 },
  });
  assert.equal((await wait({ database: 'a.db', position: formatPosition(at(3)) })).status, 200);
  assert.equal((await wait({ database: 'a.db', durability: 'replica' })).status, 200);
  assert.equal((await wait({ database: 'a.db', durability: 1 })).status, 200);
});

test('a position that is not reached yet is answered when it is', async (t) => {
  const { replication, wait, waiting } = await start(t);
  const answer = wait({ database: 'a.db', position: formatPosition(at(7)) });
  await waiting();
  replication.move(() => {
    replication.local = at(6);
  });
  assert.equal(replication.progress.listenerCount('progress'), 1, 'not yet');
  replication.move(() => {
    replication.local = at(7);
  });
  assert.deepEqual((await answer).body.position, formatPosition(at(7)));
  assert.equal(replication.progress.listenerCount('progress'), 0);
});

test('durability waits for a candidate, or for as many nodes as were asked for', async (t) => {
  const { replication, wait, waiting } = await start(t);
  const onCandidate = wait({ database: 'a.db', durability: 'replica' });
  await waiting();
  replication.move(() => replication.held.push({ node: 'far', candidate: false, position: at(5) }));
  assert.equal(replication.progress.listenerCount('progress'), 1, 'one that may not lead does not count');
  replication.move(() => replication.held.push({ node: 'two', candidate: true, position: at(5) }));
  assert.deepEqual((await onCandidate).body.nodes, ['far', 'two']);
  const onThree = wait({ database: 'a.db', durability: 3 });
  await waiting();
  replication.move(() => replication.held.push({ node: 'four', candidate: false, position: at(9) }));
  assert.deepEqual((await onThree).body.nodes, ['far', 'two', 'four']);
});

test('what does not come in time is answered with 408, and nobody is left waiting', async (t) => {
  const { replication, wait } = await start(t);
  const late = await wait({ database: 'a.db', position: formatPosition(at(99)), timeoutMs: 20 });
  assert.deepEqual([late.status, late.body.error.code], [408, 'WAIT_TIMEOUT']);
  assert.equal((await wait({ database: 'a.db', durability: 'replica', timeoutMs: 0 })).status, 408);
  assert.equal(replication.progress.listenerCount('progress'), 0);
});

test('a database that goes, or a role that changes, while it is waited for ends the wait', async (t) => {
  const { replication, wait, waiting } = await start(t);
  const onReplica = wait({ database: 'a.db', durability: 'replica', timeoutMs: 60_000 });
  await waiting();
  replication.move(() => {
    replication.role = 'replica';
  });
  assert.equal((await onReplica).status, 421);
  const onPosition = wait({ database: 'a.db', position: formatPosition(at(9)), timeoutMs: 60_000 });
  await waiting();
  replication.move(() => {
    replication.name = 'other.db';
  });
  assert.equal((await onPosition).status, 404);
});

test('a client that goes away is not waited for', async (t) => {
  const { replication, wait, waiting } = await start(t);
  const controller = new AbortController();
  const answer = wait({ database: 'a.db', durability: 'replica', timeoutMs: 60_000 }, controller.signal);
  await waiting();
  controller.abort();
  await assert.rejects(answer);
  while (replication.progress.listenerCount('progress') > 0) await new Promise(setImmediate);
});

test('without a database all are waited for, also one that the app has just made', async (t) => {
  const { replication, wait, waiting } = await start(t);
  replication.held = [{ node: 'two', candidate: true, position: at(5) }];
  assert.deepEqual((await wait({ durability: 'replica' })).body as object, {
    positions: { 'a.db': formatPosition(at(5)) },
    nodes: ['two'],
    role: 'primary',
    chainEpoch: 3,
  });
  replication.second = at(1);
  const answer = wait({ durability: 'replica' });
  await waiting();
  replication.move(() => replication.held.push({ node: 'third', candidate: true, position: at(5) }));
  assert.deepEqual(((await answer).body as unknown as { positions: object }).positions, {
    'a.db': formatPosition(at(5)),
    'new.db': formatPosition(at(1)),
  });
  const deleted = wait({ durability: 9 });
  await waiting();
  replication.move(() => {
    replication.second = undefined;
    replication.held = Array.from({ length: 9 }, () => ({ node: 'x', candidate: false, position: at(5) }));
  });
  assert.equal((await deleted).status, 200, 'what is not there any more is not waited for');
});

test('a replica answers for itself, and refuses to speak for others', async (t) => {
  const { replication, wait } = await start(t);
  replication.role = 'replica';
  assert.equal((await wait({ database: 'a.db' })).status, 200);
  const refused = await wait({ database: 'a.db', durability: 'replica' });
  assert.deepEqual([refused.status, refused.body.error.code], [421, 'NOT_PRIMARY']);
});

test('what was asked wrongly is refused with what is wrong', async (t) => {
  const { wait } = await start(t);
  const refused: [body: object | string, status: number, message: RegExp][] = [
    ['{', 400, /not JSON/],
    [[], 400, /expected object/],
    [{ position: formatPosition(at(1)) }, 400, /database: a position is of one/],
    [{ database: '' }, 400, /database/],
    [{ database: 'a.db', durability: 'all' }, 400, /durability/],
    [{ database: 'a.db', durability: -1 }, 400, /durability/],
    [{ database: 'a.db', timeoutMs: 1e9 }, 400, /timeoutMs/],
    [{ database: 'a.db', position: 'latest' }, 400, /position/],
    [{ database: 'a.db', positions: 'x' }, 400, /positions/],
    [{ database: 'other.db' }, 404, /other\.db/],
    [{ database: 'other.db', position: formatPosition(at(1)) }, 404, /other\.db/],
  ];
  for (const [body, status, message] of refused) {
    const answer = await wait(body);
    assert.equal(answer.status, status, JSON.stringify(body));
    assert.match(answer.body.error.message, message);
  }
  const tooLong = await wait({ database: 'x'.repeat(70_000) });
  assert.equal(tooLong.status, 400);
});
