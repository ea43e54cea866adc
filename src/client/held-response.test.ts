import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { Answer } from './answer.ts';
import { type HeaderPair, HeldResponse, type Verdict } from './held-response.ts';
import { ask, listen } from './test-support.ts';

const extra: readonly HeaderPair[] = [['set-cookie', 'ours=1']];

/** A server that holds each response until `verdict` resolves. */
function holding(
  t: TestContext,
  app: (response: ServerResponse) => void,
  decide: (status: number) => Verdict | Promise<Verdict>,
): Promise<number> {
  const server = createServer((_request, response) => {
    new HeldResponse(response, decide);
    app(response);
  });
  return listen(t, server);
}

const later = async (): Promise<Verdict> => {
  await new Promise((resolve) => setImmediate(resolve));
  return { kind: 'send', headers: extra };
};

test('headers are added to those of the app, however it gives them', async (t) => {
  const ways: ((response: ServerResponse) => void)[] = [
    (response) => response.setHeader('set-cookie', 'theirs=1').end('body'),
    (response) => response.writeHead(200, { 'Set-Cookie': 'theirs=1' }).end('body'),
    (response) => response.writeHead(200, 'Fine', { 'set-cookie': ['theirs=1'] }).end('body'),
    (response) => response.writeHead(200, ['Set-Cookie', 'theirs=1']).end('body'),
    (response) => response.setHeader('set-cookie', 'theirs=1').writeHead(200, { etag: '1' }).end('body'),
    (response) => {
      response.appendHeader('set-cookie', 'theirs=1').flushHeaders();
      response.end('body');
    },
  ];
  for (const [index, way] of ways.entries()) {
    for (const decide of [later, () => ({ kind: 'send', headers: extra }) as const]) {
      const { status, headers, body } = await ask(await holding(t, way, decide));
      assert.deepEqual([status, body], [200, 'body'], `way ${index}`);
      assert.deepEqual([...(headers['set-cookie'] ?? [])].sort(), ['ours=1', 'theirs=1'], `way ${index}`);
    }
  }
});

test('nothing goes out before it is decided, and to the app it looks as if it had', async (t) => {
  const decision = Promise.withResolvers<Verdict>();
  const told: unknown[] = [];
  const port = await holding(
    t,
    (response) => {
      told.push(response.headersSent, response.writableEnded);
      response.writeHead(201);
      told.push(response.headersSent, response.write('a'), response.writableEnded);
      response.end('b');
      told.push(response.writableEnded, response.socket?.bytesWritten);
      decision.resolve({ kind: 'send', headers: [] });
    },
    () => decision.promise,
  );
  const { status, body } = await ask(port);
  assert.deepEqual([status, body], [201, 'ab']);
  assert.deepEqual(told, [false, false, true, false, false, true, 0]);
});

test('a stream of any size passes in order, at the speed of the client', async (t) => {
  const chunks = Array.from({ length: 200 }, (_, index) =>
    String.fromCharCode(97 + (index % 26)).repeat(60_000),
  );
  const port = await holding(t, (response) => void pipeline(Readable.from(chunks), response), later);
  assert.equal((await ask(port)).body, chunks.join(''));
});

test('an answer that is dropped leaves the response to another, and the app runs to its end', async (t) => {
  let hasEnded = false;
  const server = createServer(async (_request, response) => {
    new HeldResponse(response, (status) => {
      assert.equal(status, 500);
      setImmediate(() => {
        const answer = new Answer(response);
        answer.head(200, 'OK', ['x-ours', 'yes']);
        answer.end('ours');
      });
      return { kind: 'drop' };
    });
    response.setHeader('x-of-the-app', 'yes');
    response.statusCode = 500;
    assert.equal(response.write('theirs'), true);
    await new Promise<void>((resolve) => response.write('theirs', 'utf8', () => resolve()));
    await new Promise<void>((resolve) => response.end('theirs', () => resolve()));
    hasEnded = true;
  });
  const { status, headers, body } = await ask(await listen(t, server));
  assert.deepEqual(
    [status, body, headers['x-ours'], headers['x-of-the-app']],
    [200, 'ours', 'yes', undefined],
  );
  assert.ok(hasEnded);
});

test('a head that cannot be sent ends the connection, not the process', async (t) => {
  const port = await holding(t, (response) => response.writeHead(200, { 'x-bad': 'a\nb' }).end(), later);
  await assert.rejects(ask(port), { code: 'ECONNRESET' });
});

test('a client that leaves while its answer is held does no harm', async (t) => {
  const decision = Promise.withResolvers<Verdict>();
  const closed = Promise.withResolvers<void>();
  const port = await holding(
    t,
    (response) => {
      response.on('close', () => closed.resolve());
      response.end('late');
      response.socket?.destroy();
    },
    () => decision.promise,
  );
  await assert.rejects(ask(port));
  await closed.promise;
  decision.resolve({ kind: 'send', headers: extra });
  await new Promise((resolve) => setImmediate(resolve));
});
