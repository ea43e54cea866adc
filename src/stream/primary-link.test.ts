import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { assert as invariant } from '../base/assert.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { ReplicaSet } from '../database/replica-set.ts';
import { writeSnapshot } from '../database/snapshot.ts';
import { recordBytes, TestNode } from '../database/test-support.ts';
import { formatPosition } from '../ltx/position.ts';
import { PrimaryLink } from './primary-link.ts';
import {
  type ChunkKind,
  chunkKind,
  decodeAcknowledgement,
  decodeChunk,
  encodeChunk,
  type PrimaryMessage,
} from './protocol.ts';

/** The primary's end of a link, by hand. */
class FakePrimary {
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  /** `message` for each control message, `chunk` for each other. */
  readonly heard = new EventEmitter();

  constructor(socket: WebSocket, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.heard.emit('chunk', decodeChunk(data));
      else this.heard.emit(JSON.parse(data.toString('utf8')).type);
    });
  }

  tell(message: PrimaryMessage): void {
    this.#socket.send(JSON.stringify(message));
  }

  chunk(kind: ChunkKind, id: number, bytes: Uint8Array, first: boolean, last: boolean): void {
    this.#socket.send(encodeChunk({ kind, id, first, last, bytes }));
  }

  /** What `send` sends arrives at once. */
  together(send: () => void): void {
    this.#stream.cork();
    send();
    this.#stream.uncork();
  }

  close(): void {
    this.#socket.close(1000);
  }
}

/** A replica that holds `a.db`, linked to a fake primary, and the primary's database to send from. */
async function start(t: TestContext) {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(5000))');
  const source = await one.primary(t);
  const set = new ReplicaSet(two.context, two.directory);
  t.after(() => set.stop());
  await set.start();
  await receive(set, source);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  t.after(() => server.close());
  const events = new EventEmitter();
  const handlers = {
    identity: () => ({
      app: 'test',
      node: 'two',
      region: 'x',
      url: 'http://127.0.0.1:2',
      epoch: 1,
      candidate: true,
      chainEpoch: 1,
    }),
    connected: () => undefined,
    applied: () => events.emit('applied'),
    heartbeat: () => undefined,
    dropped: (name: string) => events.emit('dropped', name),
    caughtUp: () => undefined,
    lead: () => undefined,
  };
  const { port } = server.address() as AddressInfo;
  const link = new PrimaryLink(`http://127.0.0.1:${port}`, undefined, set, handlers, new Set());
  const ended = link.run(new AbortController().signal);
  ended.catch(() => undefined);
  const [socket, request] = await once(server, 'connection');
  const primary = new FakePrimary(socket, request.socket);
  await once(primary.heard, 'hello');
  primary.tell({ type: 'database', id: 0, name: 'a.db' });
  return { app, source, two, set, primary, events, ended };
}

async function receive(set: ReplicaSet, source: PrimaryDatabase): Promise<void> {
  const install = set.beginInstall(source.name);
  const pin = await source.pin();
  const input = { ...pin, nodeId: 1n, timestampMs: 1 };
  await writeSnapshot(input, (chunk) => install.push(chunk), new AbortController().signal);
  pin.release();
  await install.finish();
}

/** The next transaction of the source, as it goes over the link. */
async function nextTransaction(source: PrimaryDatabase): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  source.addListener({
    advanced: (batch) => resolve(recordBytes(batch)),
    restarted: () => invariant(false, 'the chain goes on'),
  });
  await source.capture();
  return promise;
}

test('a drop in the middle of a transaction takes nothing back from files that are opened after it', async (t) => {
  const { app, source, two, set, primary, events, ended } = await start(t);
  app.exec('INSERT INTO t VALUES (2, randomblob(300000))');
  const bytes = await nextTransaction(source);
  const middle = bytes.length >> 1;
  primary.chunk(chunkKind.next, 0, bytes.subarray(0, middle), true, false);
  const dropped = once(events, 'dropped');
  primary.tell({ type: 'drop', name: 'a.db' });
  await dropped;
  assert.equal(existsSync(two.file()), false);
  // They get the numbers that the database's and the log's descriptors had.
  const files = Array.from({ length: 30 }, (_, index) => openSync(join(two.path, `other-${index}`), 'w+'));
  t.after(() => {
    for (const file of files) closeSync(file);
  });
  for (const file of files) ftruncateSync(file, 1 << 20);
  // What was on its way is of no use, and ends nothing.
  primary.chunk(chunkKind.next, 0, bytes.subarray(middle), false, true);
  primary.close();
  await ended;
  assert.deepEqual(
    files.map((file) => fstatSync(file).size),
    files.map(() => 1 << 20),
  );
  assert.deepEqual(set.all(), []);
});

test('without room for a copy one database stands still, the link stays, and it goes on when there is room', async (t) => {
  const { app, source, set, primary, events, ended } = await start(t);
  const replica = set.get('a.db');
  assert.ok(replica);
  const keepLost = set.keepLost.bind(set);
  let isFull = true;
  let tries = 0;
  const { promise: triedAgain, resolve } = Promise.withResolvers<void>();
  const pin = replica.pin.bind(replica);
  Object.assign(set, {
    keepLost: async (...parameters: Parameters<typeof keepLost>) => {
      tries += 1;
      if (tries > 1) resolve();
      return keepLost(...parameters);
    },
  });
  Object.assign(replica, {
    pin: async () => {
      const pinned = await pin();
      const vast = Object.create(pinned.source, { commit: { value: 2 ** 50 } });
      return isFull ? { ...pinned, source: vast } : pinned;
    },
  });
  const older = { txid: source.position.txid, checksum: source.position.checksum ^ 1n };
  primary.tell({ type: 'compare', id: 0, position: formatPosition(older as typeof source.position) });
  await triedAgain;
  assert.match(set.problems().get('a.db') ?? '', /no room/);
  // Another message is still taken: this is the same link.
  app.exec('INSERT INTO t VALUES (2, randomblob(3000))');
  const bytes = await nextTransaction(source);
  const applied = once(events, 'applied');
  primary.chunk(chunkKind.next, 0, bytes, true, true);
  await applied;
  isFull = false;
  const compared = once(primary.heard, 'checksums');
  const [answer] = await Promise.all([compared, untilKept(set)]);
  assert.ok(answer);
  primary.close();
  await ended;
});

test('a transaction is acknowledged also when a heartbeat came with it and nothing after', async (t) => {
  const { app, source, primary, ended } = await start(t);
  // The first one is acknowledged in any case.
  for (const number of [2, 3]) {
    app.exec(`INSERT INTO t VALUES (${number}, randomblob(3000))`);
    const bytes = await nextTransaction(source);
    const acknowledged = once(primary.heard, 'chunk', { signal: AbortSignal.timeout(10_000) });
    primary.together(() => {
      primary.chunk(chunkKind.next, 0, bytes, true, true);
      primary.tell({ type: 'heartbeat', clockMs: 1, ready: true, positions: {} });
    });
    const [chunk] = await acknowledged;
    assert.equal(chunk.kind, chunkKind.acknowledgement);
    assert.deepEqual(decodeAcknowledgement(chunk.bytes), source.position);
  }
  primary.close();
  await ended;
});

/** The copy is tried again after a few seconds. */
async function untilKept(set: ReplicaSet): Promise<void> {
  while (set.problems().size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}
