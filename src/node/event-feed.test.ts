import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { LtxHeader } from '../ltx/header.ts';
import { checksum, checksumFlag, txid } from '../ltx/position.ts';
import { EventFeed } from './event-feed.ts';

const header: LtxHeader = {
  flags: 0,
  pageSize: 4096,
  commit: 12,
  minTxid: txid(3),
  maxTxid: txid(0x1a),
  timestampMs: 1_700_000_000_123,
  preApplyChecksum: checksum(checksumFlag),
  walOffset: 0,
  walSize: 0,
  walSalt1: 0,
  walSalt2: 0,
  nodeId: 0n,
};
const after = checksum(checksumFlag | 0xffn);

const lost = {
  version: 1,
  id: 'a.db-20261122T041500Z',
  database: 'a.db',
  node: 'one',
  epoch: 3,
  from: '000000000000000a/8000000000000001',
  to: '000000000000000c/8000000000000002',
  isRangeCertain: true,
  transactions: 2,
  time: '2026-11-22T04:15:00.000Z',
  reason: 'the primary has other transactions',
} as const;

/** Listens to the feed over HTTP. `next` resolves with the next event. */
class Listener {
  readonly response: IncomingMessage;
  #text = '';

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
  }

  async next(): Promise<unknown> {
    while (!this.#text.includes('\n')) await once(this.response, 'data');
    const end = this.#text.indexOf('\n') + 1;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    return JSON.parse(line);
  }
}

async function start(t: TestContext) {
  const feed = new EventFeed();
  const server = createServer((request, response) => {
    if (!feed.add(request, response)) response.writeHead(503).end();
  });
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const connect = async () => {
    const [response] = await once(get({ port, agent: false }), 'response');
    return new Listener(response);
  };
  return { feed, connect, sockets };
}

test('a listener hears the leadership as it is, and then every transaction and change', async (t) => {
  const { feed, connect } = await start(t);
  feed.leadershipChanged({ isPrimary: true });
  const listener = await connect();
  assert.equal(listener.response.headers['content-type'], 'application/json');
  assert.deepEqual(await listener.next(), { type: 'init', data: { isPrimary: true } });
  feed.transaction('a.db', header, after);
  assert.deepEqual(await listener.next(), {
    type: 'tx',
    db: 'a.db',
    data: {
      txID: '000000000000001a',
      postApplyChecksum: '80000000000000ff',
      pageSize: 4096,
      commit: 12,
      timestamp: '2023-11-14T22:13:20.123Z',
    },
  });
  feed.leadershipChanged({ isPrimary: true });
  feed.leadershipChanged({ isPrimary: false, hostname: 'two' });
  feed.leadershipChanged({ isPrimary: false });
  assert.deepEqual(await listener.next(), {
    type: 'primaryChange',
    data: { isPrimary: false, hostname: 'two' },
  });
  assert.deepEqual(await listener.next(), { type: 'primaryChange', data: { isPrimary: false } });
});

test('every listener hears it, and one that has gone keeps nobody', async (t) => {
  const { feed, connect } = await start(t);
  const [one, two] = [await connect(), await connect()];
  await one.next();
  await two.next();
  one.response.destroy();
  feed.transaction('a.db', header, after);
  assert.equal((await two.next()) !== undefined, true);
});

test('a listener that does not read is cut off, and the others go on', async (t) => {
  const { feed, connect, sockets } = await start(t);
  const slow = await connect();
  await slow.next();
  slow.response.on('error', () => undefined).pause();
  const quick = await connect();
  await quick.next();
  const long = `${'x'.repeat(10_000)}.db`;
  let sent = 0;
  while (!sockets[0].destroyed) {
    assert.ok(sent < 10_000, 'never cut off');
    for (let burst = 0; burst < 5; burst += 1) feed.transaction(long, header, after);
    sent += 5;
    for (let burst = 0; burst < 5; burst += 1) await quick.next();
  }
  assert.equal(sockets[1].destroyed, false);
  feed.leadershipChanged({ isPrimary: true });
  assert.deepEqual(await quick.next(), { type: 'primaryChange', data: { isPrimary: true } });
});

test('closing ends every listener', async (t) => {
  const { feed, connect } = await start(t);
  const listener = await connect();
  const ended = once(listener.response, 'end');
  feed.close();
  await ended;
});

test('a state that only this node had is told of, with where it is kept', async (t) => {
  const { feed, connect } = await start(t);
  const listener = await connect();
  await listener.next();
  feed.lost(lost);
  const { version: _, database, ...data } = lost;
  assert.deepEqual(await listener.next(), { type: 'lost', db: database, data });
});
