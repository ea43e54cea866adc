import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { ConnectionPool } from './connection-pool.ts';
import { doorHealth } from './door-health.ts';
import type { DoorNode } from './door-node.ts';
import { openApp } from './node-pools.ts';

test('who asks for the health keeps no connection to the app open', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  let nowMs = 0;
  const pool = new ConnectionPool({
    open: () => openApp(port),
    headBytesMax: 1_000,
    connectionsMax: 10,
    waitMs: 1_000,
    idleMs: 4_000,
    nowMs: () => nowMs,
  });
  const node = { replication: () => ({ role: 'primary' }) } as unknown as DoorNode;
  const closed = once(server, 'connection').then(([socket]) => once(socket.resume(), 'close'));
  for (; nowMs < 4_000; nowMs += 500) assert.deepEqual((await doorHealth(node, pool, 0)).status, 200);
  pool.sweep(nowMs);
  await closed;
  assert.equal(pool.openCount, 0);
});
