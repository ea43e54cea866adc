import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openTunnel, tunnelPath } from '../door/open-tunnel.ts';
import { ApiServer } from './api-server.ts';
import { TunnelRoute, type TunnelRouteParts } from './tunnel-route.ts';

const secret = 'a secret of sixteen';
const appToken = 'what the app has';

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '::1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Says its name, then gives back what it is told, and ends when its client does. */
function startApp(t: TestContext, name: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  return listening(t, server);
}

async function startNode(
  t: TestContext,
  name: string,
  parts: Partial<TunnelRouteParts> = {},
): Promise<string> {
  const port = await freePort();
  const appPort = await startApp(t, name);
  const route = new TunnelRoute({
    node: name,
    secret,
    appPort,
    primaryWaitMs: 50,
    primary: async () => undefined,
    urlOf: async () => undefined,
    door: () => undefined,
    ...parts,
  });
  const server = new ApiServer({
    listen: { host: '::1', port },
    secret,
    appToken,
    routes: new Map(),
    upgrades: new Map([[tunnelPath, (...call) => route.accept(...call)]]),
    failed: (message) => assert.fail(message),
  });
  await server.listen();
  t.after(async () => {
    route.stop();
    await server.close();
  });
  return `http://[::1]:${port}`;
}

async function talk(socket: Socket, said: string): Promise<string> {
  socket.end(said);
  let heard = '';
  for await (const chunk of socket) heard += chunk;
  return heard;
}

test("a tunnel is a pipe to the node's app, both ways, whose ends close one after the other", async (t) => {
  const url = await startNode(t, 'one');
  const large = 'x'.repeat(3_000_000);
  assert.equal(await talk((await openTunnel({ url, secret })).socket, large), `one:${large}`);
});

test('a tunnel leads to another node through the one that is asked', async (t) => {
  const far = await startNode(t, 'far');
  const near = await startNode(t, 'near', {
    urlOf: async (node) => (node === 'far' ? far : undefined),
    primary: async () => ({ node: 'far', url: far, isHere: false }),
  });
  assert.equal(await talk((await openTunnel({ url: near, secret, to: 'far' })).socket, 'a'), 'far:a');
  assert.equal(await talk((await openTunnel({ url: near, secret, to: 'primary' })).socket, 'b'), 'far:b');
  assert.equal(await talk((await openTunnel({ url: near, secret, to: 'near' })).socket, 'c'), 'near:c');
});

test('a node that is not known is asked for at the primary, and not for ever', async (t) => {
  const far = await startNode(t, 'far');
  const primary = await startNode(t, 'primary', {
    urlOf: async (node) => (node === 'far' ? far : undefined),
    primary: async () => ({ node: 'primary', url: 'http://[::1]:1', isHere: true }),
  });
  const near = await startNode(t, 'near', {
    primary: async () => ({ node: 'primary', url: primary, isHere: false }),
  });
  assert.equal(await talk((await openTunnel({ url: near, secret, to: 'far' })).socket, 'a'), 'far:a');
  await assert.rejects(openTunnel({ url: near, secret, to: 'nobody' }), {
    code: 'NODE_UNREACHABLE',
    message: /502.*404.*No node nobody is known here/,
  });
});

test('without a primary there is no tunnel to it', async (t) => {
  const url = await startNode(t, 'one');
  await assert.rejects(openTunnel({ url, secret, to: 'primary' }), /503 No primary is known/);
});

test("a tunnel opens for the secret and for the app's token, and for nobody else", async (t) => {
  const url = await startNode(t, 'one');
  assert.equal(await talk((await openTunnel({ url, secret: appToken })).socket, 'a'), 'one:a');
  await assert.rejects(openTunnel({ url, secret: 'another' }), /401/);
  await assert.rejects(openTunnel({ url, secret: undefined }), /401/);
});

test("the app's token is good for nothing that changes the node", async (t) => {
  const url = await startNode(t, 'one');
  const headers = { authorization: `Bearer ${appToken}` };
  const refused = await fetch(`${url}/handoff`, { method: 'POST', headers });
  assert.equal(refused.status, 401);
  assert.match(await refused.text(), /The app's token is good for GET \/status/);
  assert.equal((await fetch(`${url}/status`, { headers })).status, 404, 'this one has no such route');
});

test('a far end that breaks off breaks this end', async (t) => {
  const url = await startNode(t, 'one');
  const { socket } = await openTunnel({ url, secret });
  const closed = once(socket, 'close');
  socket.on('error', () => undefined);
  socket.resetAndDestroy();
  await closed;
});

test('a count of hops that is no number is too many', async (t) => {
  const far = await startNode(t, 'far');
  const url = await startNode(t, 'near', { urlOf: async () => far });
  for (const hops of [Number.NaN, -1, 1e9])
    await assert.rejects(openTunnel({ url, secret, to: 'far', hops }), /508/, String(hops));
});
