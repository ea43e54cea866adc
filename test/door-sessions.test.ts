import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { DoorFigures } from '../src/door/door-figures.ts';
import type { DoorNode } from '../src/door/door-node.ts';
import { waitForProgress } from '../src/door/position-wait.ts';
import { ReadGate } from '../src/door/read-gate.ts';
import { parseSessionPosition } from '../src/door/session-position.ts';
import type { Replication } from '../src/node/replication.ts';
import { LoneDoor, MovedReplication } from './support/lone-door.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone';

function get(cookie: string): string {
  return `GET / HTTP/1.1\r\nHost: h\r\nCookie: __txid=${cookie}\r\n\r\n`;
}

async function start(...args: Parameters<typeof LoneDoor.start>): Promise<LoneDoor> {
  const door = await LoneDoor.start(...args);
  door.replication.committed.set('app.db', 42);
  return door;
}

test('a primary that may not write lets no session read behind its own write', async (t) => {
  const door = await start(t, { readWaitMs: 700 });
  const { replication } = door;
  door.canWrite = false;
  const client = await door.client();
  client.send(get('0000000000000032'));
  const head = await client.take('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 504 /);
  assert.doesNotMatch(head, /set-cookie/i);
  door.canWrite = true;
  const left = /set-cookie: __txid=app%2Edb:000000000000002a; Path=\/; Max-Age=300/i;
  assert.match(await door.exchange(get('0000000000000032'), ok), left);
  assert.equal(replication.committed.get('app.db'), 42);
});

test('of a session, only what is gone is forgotten', async (t) => {
  const door = await start(t);
  const head = await door.exchange(get('app%2Edb:000000000000002a.deleted.db:0000000000000003'), ok);
  assert.match(head, /^set-cookie: __txid=app%2Edb:000000000000002a; Path=\/; Max-Age=300/im);
});

test('a position keeps its meaning when a second database comes', async (t) => {
  const door = await start(t, { readWaitMs: 300 });
  const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi';
  const head = await door.exchange(post, ok, () => door.replication.committed.set('app.db', 50));
  const cookie = /^set-cookie: __txid=([^;]*)/im.exec(head)?.[1] ?? '';
  door.replication.role = 'replica';
  door.replication.committed.set('app.db', 49).set('b.db', 1);
  const client = await door.client();
  client.send(get(cookie));
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 504 /, 'it waits for app.db');
  await client.take('Try again.\n');
  // Of a database that this node has not heard of yet.
  client.send(get('new.db:0000000000000001'));
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 504 /);
});

test('reads for which there is no room to wait are late, and leave time for others', async () => {
  const replication = new MovedReplication();
  replication.role = 'replica';
  const gone = new AbortController();
  const asReplication = replication as unknown as Replication;
  const filled = Array.from({ length: 10_000 }, () =>
    waitForProgress(asReplication, () => false, 20_000, gone.signal),
  );
  const gate = new ReadGate(
    { replication: () => asReplication, chainEpoch: () => 1 } as DoorNode,
    20_000,
    new DoorFigures(),
  );
  const startedMs = performance.now();
  assert.equal(await gate.pass({ epoch: 0, position: new Map([['app.db', 99]]) }, gone.signal), undefined);
  assert.ok(performance.now() - startedMs < 10_000, 'not after a wait that lets nothing else run');
  gone.abort();
  await Promise.all(filled);
});

test('the primary is asked once for all reads that wait for what it may not have', async (t) => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    const databases = { 'app.db': { txid: '000000000000002a' } };
    response.end(JSON.stringify({ role: 'primary', canWrite: asked > 1, epoch: 1, databases }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const replication = {
    role: 'replica',
    isOver: false,
    position: () => ({ txid: 42 }),
    onProgress: () => () => undefined,
    primary: () => ({ node: 'there', url: `http://127.0.0.1:${port}` }),
  };
  const node = {
    replication: () => replication,
    chainEpoch: () => 1,
    secret: undefined,
  } as unknown as DoorNode;
  const gate = new ReadGate(node, 3_000, new DoorFigures());
  const { signal } = new AbortController();
  const wanted = { epoch: 1, position: new Map([['app.db', 99]]) };
  const passed = await Promise.all(Array.from({ length: 50 }, () => gate.pass(wanted, signal)));
  assert.ok(passed.every((left) => left?.position.get('app.db') === 42));
  assert.equal(asked, 2, 'the first time it may not write, and so cannot say');
});

test('a long cookie that is no position costs no time', () => {
  const startedMs = performance.now();
  for (let round = 0; round < 500; round += 1) parseSessionPosition('a'.repeat(4_096), undefined);
  // A search from each character takes seconds.
  assert.ok(performance.now() - startedMs < 2_000);
});
