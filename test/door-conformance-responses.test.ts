import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BareDoor } from './support/bare-door.ts';
import type { RawPeer } from './support/raw-peer.ts';
import { waitFor } from './support/wait-for.ts';

const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function begin(t: TestContext) {
  const door = await BareDoor.start(t);
  return { door, app: door.app, client: await door.client() };
}

/** Asks, and has the app say this. */
async function exchange(t: TestContext, request: string, response: string, ends = false) {
  const { door, app, client } = await begin(t);
  client.send(request);
  const peer = await app.peer();
  await peer.take('\r\n\r\n');
  if (ends) peer.end(response);
  else peer.send(response);
  return { door, app, client, peer };
}

test('a response without a body has none, whatever its head tells of one', async (t) => {
  for (const [request, response, heard] of [
    [
      'HEAD / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    ],
    [
      'HEAD / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    [
      'GET / HTTP/1.1',
      'HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n',
    ],
    ['GET / HTTP/1.1', 'HTTP/1.1 204 None\r\n\r\n', 'HTTP/1.1 204 None\r\n\r\n'],
    [
      'GET / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    ],
  ]) {
    const { app, client, peer } = await exchange(t, `${request}\r\nHost: h\r\n\r\n`, response);
    assert.equal(await client.take('\r\n\r\n'), heard);
    client.send(get);
    const next = await waitFor('the next request', () => app.peers.find((one) => one.received !== ''));
    assert.equal(next === peer, !/Length: 5|chunked/.test(response), 'one that tells of a body rests');
    await next.take('\r\n\r\n');
    next.send(ok);
    assert.equal(await client.take('ok'), ok, 'the connection goes on');
  }
});

test('chunks and trailers pass, each as soon as it comes', async (t) => {
  const { client, peer } = await exchange(
    t,
    get,
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  await client.take('\r\n\r\n');
  for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
    peer.send(`9\r\n${event}\r\n`);
    assert.equal(await client.take(`${event}\r\n`), `9\r\n${event}\r\n`);
  }
  peer.send('0\r\nX-Sum: 1\r\n\r\n');
  assert.equal(await client.take('\r\n\r\n'), '0\r\nX-Sum: 1\r\n\r\n');
});

test('a body that ends with its connection comes in chunks, and the client goes on', async (t) => {
  const { client, peer, app } = await exchange(t, get, 'HTTP/1.0 200 OK\r\n\r\nabc');
  await client.take('3\r\nabc\r\n');
  peer.end('de');
  assert.equal(await client.take('0\r\n\r\n'), '2\r\nde\r\n0\r\n\r\n');
  client.send(get);
  const next = await app.peer(1);
  await next.take('\r\n\r\n');
  next.send(ok);
  await client.take('ok');
});

test('a client of HTTP/1.0 gets no chunks, and keeps its connection only where it asks for that', async (t) => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
  const { client } = await exchange(t, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', chunked);
  assert.equal(await client.rest(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc');
  const kept = await exchange(t, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', ok);
  assert.match(await kept.client.take('ok'), /\r\nConnection: keep-alive\r\n/);
  kept.client.send('GET / HTTP/1.0\r\n\r\n');
  await kept.peer.take('\r\n\r\n');
  kept.peer.send(ok);
  assert.match(await kept.client.rest(), /\r\nConnection: close\r\n\r\nok$/);
});

test('heads that inform pass, for those who understand them', async (t) => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
  const { client } = await exchange(t, get, hints + hints + ok);
  assert.equal(await client.take('ok'), hints + hints + ok);
  const old = await exchange(t, 'GET / HTTP/1.0\r\n\r\n', hints + ok);
  assert.match(await old.client.rest(), /^HTTP\/1\.1 200 OK\r\n/);
});

test('an upgrade makes a pipe of both connections, each of which ends by itself', async (t) => {
  const request =
    'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n';
  const { client, app } = await begin(t);
  client.send(`${request}first`);
  const peer = await app.peer();
  assert.match(await peer.take('\r\n\r\n'), /Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/);
  assert.equal(peer.received, '', 'nothing passes before the app agrees');
  peer.send(
    'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nhello',
  );
  assert.equal(
    await client.take('hello'),
    'HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello',
  );
  await peer.take('first');
  client.send('GET / HTTP/1.1\r\n\0\xff');
  await peer.take('GET / HTTP/1.1\r\n\0\xff');
  client.end('last');
  await peer.take('last');
  assert.equal(await peer.rest(), '');
  peer.send('still');
  await client.take('still');
  peer.end();
  await client.closed();
});

test('an app that does not switch answers as always, and one that was not asked must not', async (t) => {
  const request = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const { client } = await exchange(t, request, ok);
  assert.equal(await client.take('ok'), ok);
  const other = await exchange(t, get, 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  assert.match(await other.client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
});

test('a response that is cut short is cut short for the client too', async (t) => {
  for (const response of [
    'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  ]) {
    const { client } = await exchange(t, get, response, true);
    const heard = await client.rest();
    assert.match(heard, /abc/);
    assert.ok(!heard.endsWith('\r\n0\r\n\r\n'), 'it cannot be taken for the whole');
  }
});

test('a response that could be read in two ways is not passed on', async (t) => {
  for (const response of [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\nX y: z\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: y\0z\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n',
    'hello\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(10_000)}\r\n\r\n`,
    '',
  ]) {
    const { client, peer } = await exchange(t, get, response, true);
    assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /, JSON.stringify(response.slice(0, 80)));
    await peer.closed();
  }
});

test('what comes after a response is no response', async (t) => {
  const { client, app, peer } = await exchange(
    t,
    get,
    `${ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
  );
  await client.take('ok');
  client.send(get);
  const next = await app.peer(1);
  await peer.closed();
  await next.take('\r\n\r\n');
  next.send(ok);
  assert.equal(await client.take('ok'), ok);
});

/** A connection to the app that has served one request, and is kept. */
async function withKeptConnection(
  t: TestContext,
): Promise<{ door: BareDoor; client: RawPeer; peer: RawPeer }> {
  const { client, peer, door } = await exchange(t, get, ok);
  await client.take('ok');
  return { client, peer, door };
}

test('a kept connection that ends unused is replaced, where the request may be sent twice', async (t) => {
  const { client, peer, door } = await withKeptConnection(t);
  client.send('PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc');
  await peer.take('abc');
  peer.socket.resetAndDestroy();
  const next = await door.app.peer(1);
  assert.match(await next.take('abc'), /^PUT \/x /);
  next.send(ok);
  assert.equal(await client.take('ok'), ok);
});

test('a request that must not be sent twice is not', async (t) => {
  const { client, peer, door } = await withKeptConnection(t);
  client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc');
  await peer.take('abc');
  peer.socket.resetAndDestroy();
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
  assert.equal(door.app.peers.length, 1);
});

test('an app that is away is waited for a moment', async (t) => {
  const { door, client } = await begin(t);
  door.app.stop();
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc');
  assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
});

test('a door that drains lets requests come to their end, and takes no others', async (t) => {
  const { client, peer, door } = await exchange(
    t,
    get,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
  );
  await client.take('1\r\na\r\n');
  const idle = await door.client();
  const drained = door.door.drain(5_000);
  assert.equal(await idle.rest(), '');
  await assert.rejects(door.client());
  peer.send('0\r\n\r\n');
  assert.equal(await client.rest(), '0\r\n\r\n');
  client.end();
  await drained;
});

test('what an app sends beyond its response is the answer to nobody', async (t) => {
  const { app, client } = await begin(t);
  client.send(`HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n`);
  const peer = await app.peer();
  await peer.take('\r\n\r\n');
  peer.send('HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
  const next = await app.peer(1);
  assert.match(await next.take('\r\n\r\n'), /^GET \/b /);
  next.send(ok);
  await client.take('\r\n\r\n');
  assert.equal(await client.take('ok'), ok);
});

test('a connection on which an upgrade was refused is not used again', async (t) => {
  const upgrade = 'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const { app, client } = await exchange(t, upgrade, 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
  await client.take('\r\n\r\n');
  client.send(get);
  await (await app.peer(1)).take('\r\n\r\n');
});
