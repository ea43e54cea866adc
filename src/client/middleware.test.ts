import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, createServer as createSocketServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { needRequestScope, requestScope, tellRefused } from './request-scope.ts';
import { ask, doorMark, listen, listenBehind, StandInNode } from './test-support.ts';

/** What a primary's app says, and what it was asked. */
async function startPrimary(t: TestContext, node: StandInNode): Promise<string[]> {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request;
    asked.push(`${method} ${url} ${await text(request)} hop ${headers['skein-hop']}`);
    response.writeHead(201, { 'x-from': 'primary', 'set-cookie': ['a=1', '__txid=0000000000000009'] });
    response.end('there');
  });
  node.tunnelPort = await listen(t, server);
  return asked;
}

async function replica(t: TestContext): Promise<StandInNode> {
  const node = await StandInNode.start(t);
  node.isPrimary = false;
  node.primary = 'other';
  return node;
}

/** What comes back on a connection of its own, to its end. */
async function sendRaw(port: number, message: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(message);
  return text(socket);
}

const here = (_request: unknown, response: { end(text: string): unknown }) => void response.end('here');

test('without a node everything is left as it is', async (t) => {
  const port = await listenBehind(t, undefined, here);
  const { body, headers } = await ask(port, { method: 'POST' });
  assert.deepEqual([body, headers['set-cookie']], ['here', undefined]);
});

test('a write on a replica is answered by the primary, once, with its head as it was', async (t) => {
  const node = await replica(t);
  const asked = await startPrimary(t, node);
  const port = await listenBehind(t, node, here);
  const { status, headers, body } = await ask(port, { method: 'PUT', path: '/a?b', body: 'x' });
  assert.deepEqual([status, body, headers['x-from']], [201, 'there', 'primary']);
  assert.deepEqual(headers['set-cookie'], ['a=1', '__txid=0000000000000009']);
  assert.deepEqual(asked, ['PUT /a?b x hop 1;primary']);
  assert.equal((await ask(port)).body, 'here', 'a read is answered here');
  await Promise.all(['1', '2', '3'].map((body) => ask(port, { method: 'POST', body })));
  assert.ok(node.tunnels <= 3, `tunnels are kept for the next request: ${node.tunnels}`);
});

test('a write on the primary is answered when it is durable, with its position', async (t) => {
  const node = await StandInNode.start(t);
  const port = await listenBehind(t, node, here);
  const { headers, body } = await ask(port, { method: 'POST' });
  assert.equal(body, 'here');
  assert.equal(headers['skein-position'], 'app%2Edb:0000000000000005');
  const attributes = 'Path=/; Max-Age=300; HttpOnly; SameSite=Lax';
  assert.deepEqual(headers['set-cookie'], [`__txid=app%2Edb:0000000000000005; ${attributes}`]);
  assert.deepEqual(
    node.waits.map(({ durability }) => durability),
    [undefined, 'replica'],
  );
  const secure = await ask(port, { method: 'POST', headers: { 'x-forwarded-proto': 'https' } });
  assert.deepEqual(secure.headers['set-cookie'], [`__txid=app%2Edb:0000000000000005; ${attributes}; Secure`]);
});

test('a session that has written to several databases keeps the position of each', async (t) => {
  const node = await StandInNode.start(t);
  for (const name of ['a.db', 'b.db']) node.setTxid(name, 5);
  const headers = { cookie: '__txid=a.db:0000000000000004' };
  const answer = await ask(await listenBehind(t, node, here), { method: 'POST', headers });
  const position = 'a%2Edb:0000000000000004.app%2Edb:0000000000000005';
  assert.equal(answer.headers['skein-position'], position);
  assert.equal(answer.headers['skein-durability'], 'replica');
});

test('a database that a request has made is waited for, and told of, with the others', async (t) => {
  const node = await StandInNode.start(t);
  let made = 'new.db';
  const port = await listenBehind(t, node, (_request, response) => {
    node.unseen = [made];
    response.end('here');
  });
  const headers = { cookie: '__txid=0000000000000004' };
  const { headers: given } = await ask(port, { method: 'POST', headers });
  assert.equal(given['skein-position'], 'app%2Edb:0000000000000005.new%2Edb:0000000000000005');
  assert.equal(given['skein-durability'], 'replica');
  const waited = node.waits.filter(({ durability }) => durability === 'replica');
  assert.deepEqual(waited.map(({ database }) => database).sort(), ['app.db', 'new.db']);
  // Seen by now, it is one of those that stay as they are; another alone is made.
  node.setTxid('app.db', 5);
  node.setTxid('new.db', 5);
  made = 'newer.db';
  node.waits.length = 0;
  const alone = await ask(port, { method: 'POST' });
  assert.equal(alone.headers['skein-position'], 'newer%2Edb:0000000000000005');
  assert.deepEqual(
    node.waits.map(({ database }) => database),
    [undefined, 'newer.db'],
  );
});

test('the one database that positions are of is told without its name', async (t) => {
  const node = await StandInNode.start(t);
  node.setTxid('other.db', 1);
  const port = await listenBehind(t, node, here, { database: 'app.db' });
  const { headers } = await ask(port, { method: 'POST' });
  assert.equal(headers['skein-position'], '0000000000000005');
});

test('a node that has to be asked for each database is asked so, from then on', async (t) => {
  const node = await StandInNode.start(t);
  node.takesAll = false;
  const port = await listenBehind(t, node, here);
  for (const _round of [1, 2])
    assert.equal(
      (await ask(port, { method: 'POST' })).headers['skein-position'],
      'app%2Edb:0000000000000005',
    );
  assert.deepEqual(
    node.waits.map(({ database }) => database),
    [undefined, 'app.db', 'app.db', 'app.db', 'app.db'],
  );
});

test('a primary without another candidate does not wait for one', async (t) => {
  const node = await StandInNode.start(t);
  node.hasCandidate = false;
  node.isDurable = false;
  const port = await listenBehind(t, node, here);
  const { status, headers } = await ask(port, { method: 'POST' });
  assert.deepEqual([status, headers['skein-durability']], [200, 'local']);
});

test('an answer whose write is not durable in time says so', async (t) => {
  const node = await StandInNode.start(t);
  node.isDurable = false;
  const port = await listenBehind(t, node, here, { durabilityWaitMs: 50 });
  const { status, headers } = await ask(port, { method: 'POST' });
  assert.deepEqual([status, headers['skein-durability']], [200, 'local']);
  assert.equal(headers['skein-position'], 'app%2Edb:0000000000000005');
});

test('a write that nothing came of sets no cookie', async (t) => {
  const node = await StandInNode.start(t);
  node.setTxid('app.db', 5);
  const { headers } = await ask(await listenBehind(t, node, here), { method: 'POST' });
  assert.deepEqual([headers['set-cookie'], headers['skein-position']], [undefined, undefined]);
});

test('what `Connection` names cannot turn a body into a request of its own', async (t) => {
  const node = await replica(t);
  const asked = await startPrimary(t, node);
  const port = await listenBehind(t, node, here, { alwaysForward: ['/always'] });
  const hidden = 'GET /admin HTTP/1.1\r\nHost: a\r\nskein-hop: 1;here\r\n\r\n';
  const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
  const framings = [
    [`Content-Length: ${hidden.length}`, hidden],
    ['Transfer-Encoding: chunked', chunked],
  ] as const;
  const expected: string[] = [];
  for (const method of ['DELETE', 'GET', 'OPTIONS', 'POST', 'PUT']) {
    for (const [framing, body] of framings) {
      const path = '/always';
      const connection = 'Connection: close, content-length, Transfer-Encoding, host';
      const answer = await sendRaw(
        port,
        `${method} ${path} HTTP/1.1\r\nHost: a\r\n${connection}\r\n${framing}\r\n\r\n${body}`,
      );
      assert.match(answer, /^HTTP\/1.1 201 /, `${method} ${framing}: ${answer}`);
      expected.push(`${method} ${path} ${hidden} hop 1;primary`);
    }
    const answer = await sendRaw(port, `${method} /always HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 201 /);
    expected.push(`${method} /always  hop 1;primary`);
  }
  assert.deepEqual(asked, expected);
});

test('while nobody leads a write is held, and done as soon as somebody does', async (t) => {
  const node = await replica(t);
  node.primary = undefined;
  const port = await listenBehind(t, node, here);
  const elsewhere = ask(port, { method: 'POST', body: 'x' });
  while (node.tunnels === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const asked = await startPrimary(t, node);
  assert.equal((await elsewhere).body, 'there');
  assert.equal(asked.length, 1);

  node.tunnelPort = undefined;
  node.become(false, undefined);
  const before = node.tunnels;
  const itself = ask(port, { method: 'POST', body: 'x' });
  while (node.tunnels === before) await new Promise((resolve) => setTimeout(resolve, 1));
  node.become(true, 'self');
  assert.equal((await itself).body, 'here');
});

test('a write is refused when nobody leads in time', async (t) => {
  const node = await replica(t);
  const port = await listenBehind(t, node, here, { primaryWaitMs: 60 });
  const { status, headers, body } = await ask(port, { method: 'POST', body: 'x' });
  assert.deepEqual([status, headers['retry-after']], [503, '1']);
  assert.match(body, /Nothing was written/);
});

test('a connection that breaks once the request is sent is told, and nothing is sent twice', async (t) => {
  const node = await replica(t);
  let connections = 0;
  const server = createSocketServer((socket) => {
    connections += 1;
    socket.once('data', () => socket.destroy());
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  node.tunnelPort = (server.address() as { port: number }).port;
  const { status, body } = await ask(await listenBehind(t, node, here), { method: 'POST', body: 'x' });
  assert.deepEqual([status, connections], [502, 1]);
  assert.match(body, /may or may not/);
});

test('a request that goes around is stopped', async (t) => {
  const node = await replica(t);
  const port = await listenBehind(t, node, here);
  node.tunnelPort = port;
  const { status } = await ask(port, { method: 'POST', body: 'x' });
  assert.equal(status, 508);
});

test('a client that is not on this machine cannot say that a node has sent it', async (t) => {
  const node = await replica(t);
  const asked = await startPrimary(t, node);
  const port = await listenBehind(t, node, here);
  const headers = { 'skein-hop': '4;primary' };
  assert.equal((await ask(port, { headers, from: '127.0.0.2' })).body, 'here');
  assert.equal((await ask(port, { method: 'POST', headers, from: '127.0.0.2' })).body, 'there');
  assert.deepEqual(asked, ['POST /  hop 1;primary']);
  assert.equal((await ask(port, { headers })).status, 508);
});

test('where a proxy replays, a write is answered with the name of the primary', async (t) => {
  const node = await replica(t);
  const port = await listenBehind(t, node, here, { forward: 'fly-replay' });
  const { status, headers } = await ask(port, { method: 'POST' });
  assert.deepEqual([status, headers['fly-replay']], [409, 'instance=other']);
});

test('a reader waits for what it wrote; when that does not come, the primary answers', async (t) => {
  const node = await replica(t);
  const asked = await startPrimary(t, node);
  const port = await listenBehind(t, node, here, { readWaitMs: 100 });
  const headers = { cookie: '__txid=0000000000000003' };
  const waiting = ask(port, { headers });
  setTimeout(() => node.setTxid('app.db', 3), 20);
  assert.equal((await waiting).body, 'here');
  const never = await ask(port, { headers: { 'skein-position': 'app.db:0000000000000004' } });
  assert.deepEqual([never.body, asked], ['there', ['GET /  hop 1;primary']]);
});

test('a position is given up where the node leads beyond doubt, and nowhere else', async (t) => {
  const node = await StandInNode.start(t);
  const port = await listenBehind(t, node, here, { readWaitMs: 150 });
  const headers = { cookie: '__txid=0000000000000003' };
  const cleared = '__txid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax';
  const lost = await ask(port, { headers });
  assert.deepEqual([lost.status, lost.headers['set-cookie']], [200, [cleared]]);

  for (const canWrite of [false, undefined]) {
    node.canWrite = canWrite;
    const unknown = await ask(port, { headers });
    assert.deepEqual([unknown.status, unknown.headers['set-cookie']], [504, undefined], `${canWrite}`);
    const passedOn = await ask(port, { headers: { ...headers, 'skein-hop': '1;primary' } });
    assert.deepEqual([passedOn.status, passedOn.headers['set-cookie']], [504, undefined], `${canWrite}`);
  }

  node.canWrite = true;
  node.setTxid('other.db', 7);
  await new Promise((resolve) => setTimeout(resolve, 600));
  const several = { cookie: '__txid=other%2Edb:0000000000000006.app%2Edb:0000000000000003' };
  const left = await ask(port, { headers: several });
  assert.match(
    String(left.headers['set-cookie']),
    /^__txid=other%2Edb:0000000000000006; Path=\/; Max-Age=300/,
  );
});

test('a reader at a node that has lost the lead without noticing is answered by the new primary', async (t) => {
  const node = await StandInNode.start(t);
  await startPrimary(t, node);
  const port = await listenBehind(t, node, here, { readWaitMs: 2_000 });
  node.canWrite = false;
  const waiting = ask(port, { headers: { cookie: '__txid=0000000000000003' } });
  setTimeout(() => node.become(false, 'other'), 50);
  const { body, headers } = await waiting;
  assert.deepEqual([body, headers['set-cookie']], ['there', ['a=1', '__txid=0000000000000009']]);
});

test('paths can be left alone, sent to the primary, or tell of health', async (t) => {
  const node = await replica(t);
  await startPrimary(t, node);
  const options = { alwaysForward: ['/admin/*'], passthrough: ['/hooks/*.json'], healthPath: '/up' };
  const port = await listenBehind(t, node, here, options);
  assert.equal((await ask(port, { path: '/admin/x?y' })).body, 'there');
  assert.equal((await ask(port, { path: '/hooks/a.json', method: 'POST' })).body, 'here');
  assert.equal((await ask(port, { path: '/hooks/axjson', method: 'POST' })).body, 'there');
  assert.equal((await ask(port, { path: '/up' })).status, 503, 'the stand-in has no health');
});

test("what came through the node's door is left to it, and its mark is not seen; anybody else's is no mark", async (t) => {
  const node = await replica(t);
  await startPrimary(t, node);
  const seen: unknown[] = [];
  const port = await listenBehind(t, node, (request, response) => {
    seen.push(request.headers['skein-door'], request.rawHeaders.includes('skein-door'));
    response.end('here');
  });
  assert.equal((await ask(port, { method: 'POST', headers: { 'skein-door': doorMark } })).body, 'here');
  for (const guess of ['token', '0'.repeat(64), `${doorMark}, ${doorMark}`])
    assert.equal(
      (await ask(port, { method: 'POST', headers: { 'skein-door': guess } })).body,
      'there',
      guess,
    );
  assert.equal((await ask(port, { headers: { 'skein-door': 'guess' } })).body, 'here');
  assert.deepEqual(seen, [undefined, false, undefined, false]);
});

test("a read that writes behind the node's door tells the door what it has written, and holds nothing itself", async (t) => {
  needRequestScope();
  const node = await StandInNode.start(t);
  node.isDurable = false;
  const port = await listenBehind(
    t,
    node,
    (_request, response) => {
      requestScope()?.wrote();
      response.end('here');
    },
    { durabilityWaitMs: 50 },
  );
  const headers = { 'skein-door': doorMark };
  const read = await ask(port, { headers });
  assert.equal(read.headers['skein-wrote'], 'app%2Edb:0000000000000005');
  assert.deepEqual([read.headers['set-cookie'], read.headers['skein-durability']], [undefined, undefined]);
  const write = await ask(port, { method: 'POST', headers });
  assert.equal(write.headers['skein-wrote'], undefined, 'the door knows what a write is');
  node.unseen = Array.from({ length: 20 }, (_, index) => `${index}.db`);
  assert.equal((await ask(port, { headers })).headers['skein-wrote'], '*');
  const doorless = await ask(port);
  assert.equal(doorless.headers['skein-wrote'], undefined);
});

test('a body that was read before cannot be sent on, which is said', async (t) => {
  const node = await replica(t);
  const port = await listenBehind(t, undefined, here);
  assert.equal((await ask(port)).status, 200);
  const { Middleware } = await import('./middleware.ts');
  const middleware = new Middleware(await node.local());
  const server = createServer(async (request, response) => {
    await text(request);
    middleware.handle(request, response, () => response.end('here'));
  });
  const { status, body } = await ask(await listen(t, server), { method: 'POST', body: 'x' });
  assert.deepEqual([status, /middleware first/.test(body)], [500, true]);
});

test('a write that is refused fails the reads that wait for it too, and the primary answers them all', async (t) => {
  const node = await replica(t);
  const asked = await startPrimary(t, node);
  needRequestScope();
  const { promise: allAreHere, resolve: letGo } = Promise.withResolvers<void>();
  let shared: Promise<void> | undefined;
  let count = 0;
  const port = await listenBehind(t, node, async (request, response) => {
    count += 1;
    if (count === 3) letGo();
    shared ??= allAreHere.then(() => {
      tellRefused();
      throw new Error('attempt to write a readonly database');
    });
    await shared.catch(() => {
      response.statusCode = request.url === '/well' ? 200 : 500;
    });
    response.end('here');
  });
  const paths = ['/first', '/second', '/well'];
  const answers = await Promise.all(paths.map((path) => ask(port, { path })));
  const told = answers.map(({ status, body }) => `${status} ${body}`);
  assert.deepEqual(told, ['201 there', '201 there', '200 here']);
  assert.equal(asked.length, 2);
});
