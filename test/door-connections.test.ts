import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BareDoor } from './support/bare-door.ts';
import { LoneDoor, MovedReplication } from './support/lone-door.ts';
import type { RawPeer } from './support/raw-peer.ts';
import { waitFor } from './support/wait-for.ts';

const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi';
const upgrade = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** A door that has one connection to its app, which is in use by a client. */
async function begin(t: TestContext, waitMs?: number) {
  const door = await BareDoor.start(t, { connectionsMax: 1, ...(waitMs === undefined ? {} : { waitMs }) });
  const first = await door.client();
  first.send(get);
  const peer = await door.app.peer();
  await peer.take('\r\n\r\n');
  return { door, app: door.app, first, peer };
}

async function answered(client: RawPeer, peer: RawPeer): Promise<void> {
  peer.send(ok);
  assert.match(await client.take('ok'), /^HTTP\/1\.1 200 /);
}

test('requests beyond what the app may have of connections wait for one, and keep their order', async (t) => {
  const { door, app, first, peer } = await begin(t);
  const waiting: RawPeer[] = [];
  for (const path of ['/a', '/b']) {
    const client = await door.client();
    client.send(post.replace('/', path));
    waiting.push(client);
    await waitFor('the request to wait', () => door.pool.waitingCount === waiting.length);
  }
  // Not before those that wait, although its own connection has just come free.
  first.send(get);
  await answered(first, peer);
  for (const [index, path] of ['/a', '/b'].entries()) {
    assert.match(await peer.take('hi'), new RegExp(`^POST ${path} `));
    await answered(waiting[index], peer);
  }
  await peer.take('\r\n\r\n');
  await answered(first, peer);
  assert.equal(app.peers.length, 1);
});

test('a request that waits in vain for a connection to the app is answered with 503', async (t) => {
  const { door, first, peer } = await begin(t, 100);
  const client = await door.client();
  client.send(post);
  const head = await client.take('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 503 /);
  assert.match(head, /\r\nRetry-After: 1\r\n/);
  await answered(first, peer);
});

test('a client that leaves waits for no connection any more', async (t) => {
  const { door, first, peer } = await begin(t);
  const client = await door.client();
  client.send(get);
  await waitFor('the request to wait', () => door.pool.waitingCount === 1);
  client.socket.destroy();
  await waitFor('it to be gone', () => door.pool.waitingCount === 0);
  await answered(first, peer);
  first.send(get);
  await peer.take('\r\n\r\n');
});

test('a connection that ends makes room for another, also one that had become a pipe', async (t) => {
  const { door, app, first, peer } = await begin(t);
  const client = await door.client();
  client.send(upgrade);
  await waitFor('the request to wait', () => door.pool.waitingCount === 1);
  peer.socket.destroy();
  await first.closed();
  const pipe = await app.peer(1);
  await pipe.take('\r\n\r\n');
  pipe.send('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  await client.take('\r\n\r\n');
  const next = await door.client();
  next.send(get);
  await waitFor('the request to wait', () => door.pool.waitingCount === 1);
  client.end();
  pipe.end();
  const last = await app.peer(2);
  await last.take('\r\n\r\n');
  await answered(next, last);
});

test('an idle connection that is of no use to a request gives way to one that is', async (t) => {
  const { door, app, first, peer } = await begin(t);
  await answered(first, peer);
  // A write does not go on one that was idle for longer.
  const client = await door.client();
  const sinceMs = door.door.nowMs();
  await waitFor('the connection to be idle for a second', () => door.door.nowMs() - sinceMs > 1_300);
  client.send(post);
  const next = await app.peer(1);
  await next.take('hi');
  await answered(client, next);
  await peer.closed();
});

test('a write that has waited for a connection goes to who leads by then', async (t) => {
  const near = await LoneDoor.start(t, { appConnectionsMax: 1 });
  const far = await LoneDoor.start(t);
  const first = await near.client();
  first.send(get);
  const peer = await near.app.peer();
  await peer.take('\r\n\r\n');
  const client = await near.client();
  client.send(post);
  await waitFor('the write to wait', () => near.door.figures.local === 2);
  near.follow(far);
  await answered(first, peer);
  const next = await far.app.peer();
  await next.take('hi');
  next.send(ok);
  assert.match(await client.take('ok'), /^HTTP\/1\.1 200 /);
  assert.equal(peer.received, '');
});

test('an app that cannot be reached lets nobody wait for ever', async (t) => {
  const { door, app, first } = await begin(t);
  const client = await door.client();
  client.send(get);
  await waitFor('the request to wait', () => door.pool.waitingCount === 1);
  app.stop();
  await first.closed();
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
  assert.equal(door.pool.isFull, false);
});

test('a write that waits for a connection counts from when it gets one, whatever lead that is of', async (t) => {
  const lone = await LoneDoor.start(t, { appConnectionsMax: 1 });
  lone.replication.committed.set('app.db', 42);
  const first = await lone.client();
  first.send(get);
  const peer = await lone.app.peer();
  await peer.take('\r\n\r\n');
  const client = await lone.client();
  client.send(post);
  await waitFor('the write to wait', () => lone.door.figures.local === 2);
  assert.equal(await settlesAtOnce(lone.door.writesSettled(10_000)), true, 'a handoff does not wait for it');
  // There and back.
  lone.replication.isOver = true;
  lone.replication.hasHandedOver = true;
  lone.replication = new MovedReplication();
  lone.replication.committed.set('app.db', 42);
  lone.replication.isHeld = () => false;
  await answered(first, peer);
  await peer.take('hi');
  lone.replication.committed.set('app.db', 43);
  peer.send(ok);
  const head = await client.take('\r\n\r\n');
  assert.match(head, /\r\nskein-durability: local\r\nskein-position: app%2Edb:000000000000002b\r\n/);
});

test('an app that cannot be reached is said in its own time, however long a primary is waited for', async (t) => {
  const lone = await LoneDoor.start(t, { primaryWaitMs: 60_000 });
  lone.app.stop();
  const client = await lone.client();
  client.send(get);
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
});

test('a write that is held at a node that stops is told so', async (t) => {
  const lone = await LoneDoor.start(t, { primaryWaitMs: 60_000 });
  lone.canWrite = false;
  const client = await lone.client();
  client.send(post);
  await waitFor('the write to be held', () => lone.door.figures.held === 1);
  await lone.door.drain();
  lone.door.stop();
  const head = await client.take('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 503 /);
  assert.match(head, /\r\nRetry-After: 1\r\n/);
});

async function settlesAtOnce(promise: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(resolve, 'turn'));
  return (await Promise.race([promise.then(() => 'settled'), turn])) === 'settled';
}
