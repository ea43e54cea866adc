import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BareDoor } from './support/bare-door.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = 'GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n';

test("what belongs to the client's connection stays there, and the app is told who asks", async (t) => {
  const { app, client } = await begin(t);
  client.send(
    'GET /a?b HTTP/1.1\r\nHost: h:1\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers, deflate\r\nX-Other: 2\r\nX-Forwarded-For: 9.9.9.9\r\nX_Forwarded_For: 8.8.8.8\r\nForwarded: for=9.9.9.9\r\nSkein-Hop: 1;here\r\nFly-Replay-Src: instance=x\r\n\r\n',
  );
  const peer = await app.peer();
  assert.equal(
    await peer.take('\r\n\r\n'),
    'GET /a?b HTTP/1.1\r\nHost: h:1\r\nX-Other: 2\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\nForwarded: for=127.0.0.1;host="h:1";proto=http\r\nTE: trailers\r\n\r\n',
  );
  peer.send(
    'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=9\r\nX-Other: 2\r\nContent-Length: 2\r\n\r\nok',
  );
  assert.equal(
    await client.rest(),
    'HTTP/1.1 200 OK\r\nX-Other: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
  );
});

test('a sender that is trusted is believed, and its word is added to', async (t) => {
  const { app, client } = await begin(t, { trust: 'private' });
  client.send(
    'GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\nForwarded: for=9.9.9.9\r\n\r\n',
  );
  const head = await (await app.peer()).take('\r\n\r\n');
  assert.match(
    head,
    /X-Forwarded-For: 9\.9\.9\.9, 127\.0\.0\.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\n/,
  );
  assert.match(head, /Forwarded: for=9\.9\.9\.9, for=127\.0\.0\.1;host="inner";proto=https\r\n/);
});

test('requests that come at once are answered in their order, over one connection to the app', async (t) => {
  const { app, client } = await begin(t);
  client.send(`${get}POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\r\nGET /c HTTP/1.0\r\n\r\n`);
  const peer = await app.peer();
  for (const [line, body] of [
    ['GET /a?b HTTP/1.1', ''],
    ['POST /b HTTP/1.1', 'abc'],
    ['GET /c HTTP/1.1', ''],
  ]) {
    assert.ok((await peer.take(`\r\n\r\n${body}`)).startsWith(`${line}\r\n`));
    assert.equal(peer.received, '', 'the next one is not sent before this one is answered');
    peer.send(ok);
  }
  assert.equal(
    await client.rest(),
    `${ok}${ok}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`,
  );
  assert.equal(app.peers.length, 1);
});

test('a chunked body arrives with its data and its trailers, without what nobody reads', async (t) => {
  const { app, client } = await begin(t);
  client.send(
    'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;a="b"\r\nab',
  );
  const peer = await app.peer();
  assert.match(await peer.take('\r\n\r\n'), /\r\nTrailer: X-Sum\r\n.*Transfer-Encoding: chunked\r\n\r\n$/s);
  assert.equal(await peer.take('ab\r\n'), '2\r\nab\r\n');
  client.send('c\r\n0\r\nX-Sum: 5\r\nConnection: x\r\n\r\n');
  assert.equal(await peer.take('\r\n\r\n'), '1\r\nc\r\n0\r\nX-Sum: 5\r\n\r\n');
  peer.send(ok);
  assert.equal(await client.take('ok'), ok);
});

test('a client that asks first whether it may go on hears it from the app', async (t) => {
  const { app, client } = await begin(t);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n');
  const peer = await app.peer();
  assert.match(await peer.take('\r\n\r\n'), /\r\nExpect: 100-continue\r\n/);
  peer.send('HTTP/1.1 100 Continue\r\n\r\n');
  assert.equal(await client.take('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
  client.send('abc');
  await peer.take('abc');
  peer.send(ok);
  assert.equal(await client.take('ok'), ok);
});

test('a client that may not go on is told so, and its connection closes', async (t) => {
  const { app, client } = await begin(t);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
  const peer = await app.peer();
  await peer.take('\r\n\r\n');
  peer.send('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n');
  assert.match(await client.rest(), /^HTTP\/1\.1 413 No\r\n/);
  await peer.closed();
});

test('an answer that comes before the body is complete goes out at once', async (t) => {
  const { app, client } = await begin(t);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
  const peer = await app.peer();
  await peer.take('abc');
  peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
  await client.take('1\r\na\r\n');
  client.send('defghij');
  await peer.take('defghij');
  peer.send('1\r\nb\r\n0\r\n\r\n');
  await client.take('1\r\nb\r\n0\r\n\r\n');
  client.send(get);
  await peer.take('\r\n\r\n');
});

test('what could be read in two ways reaches no app, and ends the connection', async (t) => {
  const { app, client, door } = await begin(t);
  const bad = {
    400: [
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n Content-Length: 5\r\n\r\nabcde',
      'GET / HTTP/1.1\nHost: h\n\n',
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00',
    ],
    414: [`GET /${'a'.repeat(9_000)}`],
    431: [`GET / HTTP/1.1\r\nHost: h\r\nX: ${'a'.repeat(9_000)}`],
    505: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  };
  for (const [status, requests] of Object.entries(bad)) {
    for (const request of requests) {
      const other = await door.client();
      other.send(request);
      assert.ok((await other.rest()).startsWith(`HTTP/1.1 ${status} `), JSON.stringify(request.slice(0, 80)));
    }
  }
  assert.equal(app.peers.length, 0);
  // A chunk that is wrong comes after the app has begun.
  client.send('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabGET / HTTP/1.1\r\n');
  assert.match(await client.rest(), /^HTTP\/1\.1 400 /);
  for (const peer of app.peers) await peer.closed();
});

test('a client that has said all it has to say still gets its answer', async (t) => {
  const { app, client } = await begin(t);
  client.end(get);
  const peer = await app.peer();
  await peer.take('\r\n\r\n');
  peer.send(ok);
  assert.match(await client.rest(), /Connection: close\r\n\r\nok$/);
});

test('a client that goes away in the middle of its body takes the connection to the app with it', async (t) => {
  const { app, client } = await begin(t);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
  const peer = await app.peer();
  await peer.take('abc');
  client.socket.destroy();
  await peer.closed();
});

test('clients that are too slow are sent away', async (t) => {
  const { app, door } = await begin(t, { limits: { headMs: 300, idleMs: 300, progressMs: 300 } });
  const [idle, head, body, unread] = await Promise.all([1, 2, 3, 4].map(() => door.client()));
  head.send('GET / HTTP/1.1\r\nHost');
  body.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
  unread.socket.pause();
  unread.send(get);
  assert.equal(await idle.rest(), '');
  assert.match(await head.rest(), /^HTTP\/1\.1 408 /);
  assert.match(await body.rest(), /^HTTP\/1\.1 408 /);
  const peer = await app.peer(app.peers[0]?.received.startsWith('GET') ? 0 : 1);
  await peer.take('\r\n\r\n');
  const chunk = 'x'.repeat(1 << 20);
  peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${200 << 20}\r\n\r\n`);
  let taken = 0;
  for (let count = 0; count < 200; count += 1)
    peer.socket.write(chunk, 'latin1', (error) => {
      if (!error) taken += 1;
    });
  await peer.closed();
  assert.ok(taken < 32, `${taken} MiB were taken for nobody`);
});

test('an app that does not read holds its client back, and nothing piles up', async (t) => {
  const { app, client } = await begin(t);
  client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${1 << 30}\r\n\r\n`);
  const peer = await app.peer();
  await peer.take('\r\n\r\n');
  peer.socket.pause();
  const chunk = Buffer.alloc(1 << 20);
  let sent = 0;
  const isTaken = async () =>
    Promise.race([
      new Promise((resolve) => client.socket.write(chunk, () => resolve(true))),
      new Promise((resolve) => setTimeout(() => resolve(false), 300)),
    ]);
  while (await isTaken()) sent += 1;
  assert.ok(sent < 24, `${sent} MiB were taken`);
  client.socket.destroy();
  peer.socket.resume();
  await peer.closed();
});

async function begin(
  t: Parameters<typeof BareDoor.start>[0],
  options: Parameters<typeof BareDoor.start>[1] = {},
) {
  const door = await BareDoor.start(t, options);
  return { door, app: door.app, client: await door.client() };
}
