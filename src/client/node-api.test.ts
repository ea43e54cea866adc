import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { NodeApi } from './node-api.ts';
import { placeOf } from './place.ts';

const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';

/** A node of which each connection does with its requests, in their order, what is said. */
async function nodeThat(t: TestContext, ...acts: ((socket: Socket) => void)[]) {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    let requests = 0;
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      heard.push(String(data).slice(0, String(data).indexOf(' HTTP')));
      acts[Math.min(requests, acts.length - 1)]?.(socket);
      requests += 1;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  const place = placeOf({ SKEIN_DIR: '/nowhere', SKEIN_API: `http://127.0.0.1:${port}` });
  assert.ok(place);
  return { api: new NodeApi(place), heard };
}

test('a request that meets the end of a kept connection is sent on another', async (t) => {
  const reset = (socket: Socket) => socket.resetAndDestroy();
  const { api, heard } = await nodeThat(t, (socket) => socket.write(answer), reset);
  await api.call('GET', '/status');
  // On the connection that was kept, and then on one of its own.
  assert.deepEqual(await api.call('POST', '/wait', { body: {} }), { status: 200, body: {} });
  assert.deepEqual(heard, ['GET /status', 'POST /wait', 'POST /wait']);
});

test('a node that ends new connections does not answer', async (t) => {
  const { api, heard } = await nodeThat(t, (socket) => socket.resetAndDestroy());
  await assert.rejects(api.call('GET', '/status'), { code: 'NODE_UNREACHABLE', message: /ECONNRESET/ });
  assert.equal(heard.length, 1);
});
