import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SilenceWatch } from './silence-watch.ts';

const limits = { silentMs: 100, answerMs: 100, attempts: 2 };

/** A socket to a far end that reads, and says nothing by itself. */
async function quietSocket(t: TestContext): Promise<{ socket: Socket; far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await accepted) as [Socket];
  socket.on('error', () => undefined).resume();
  far.on('error', () => undefined).resume();
  t.after(() => {
    socket.destroy();
    far.destroy();
    server.close();
  });
  return { socket, far };
}

async function api(t: TestContext, answers: boolean): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createHttpServer((_request, response) => {
    asked += 1;
    if (answers) response.writeHead(503).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked: () => asked };
}

test('tunnels to a node that answers nothing any more end', async (t) => {
  const { url } = await api(t, false);
  const watch = new SilenceWatch(undefined, limits);
  t.after(() => watch.stop());
  const { socket } = await quietSocket(t);
  watch.add(url, socket);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
});

test('an app may take as long as it likes while its node answers', async (t) => {
  const { url, asked } = await api(t, true);
  const watch = new SilenceWatch(undefined, limits);
  t.after(() => watch.stop());
  const { socket } = await quietSocket(t);
  watch.add(url, socket);
  while (asked() < 4) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(!socket.destroyed);
});

test('a tunnel on which something comes is let be', async (t) => {
  const { url, asked } = await api(t, false);
  const watch = new SilenceWatch(undefined, limits);
  t.after(() => watch.stop());
  const silent = await quietSocket(t);
  const lively = await quietSocket(t);
  const timer = setInterval(() => lively.far.write('.'), 5);
  t.after(() => clearInterval(timer));
  watch.add(url, silent.socket);
  watch.add(url, lively.socket);
  await once(silent.socket, 'close').catch(() => undefined);
  assert.ok(asked() >= 2);
  assert.ok(!lively.socket.destroyed);
});
