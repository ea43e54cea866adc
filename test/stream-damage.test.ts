import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { assertInStep } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { Relay } from './support/relay.ts';
import { TestCluster } from './support/test-cluster.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '100' };

test('a stream that flips bits or breaks off gives no reader a wrong page, and replicas come back in step', {
  skip,
}, async (t) => {
  const random = new Random(t);
  const cluster = await TestCluster.create(t, { environment });
  const relay = await Relay.start(t, Number(new URL(cluster.primary.url).port));
  const replicaEnvironment = { SKEIN_LEASE_PRIMARY: relay.url };
  await cluster.primary.start();
  const path = cluster.primary.path('app.db');
  createLedger(path);
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  // The first of them hit the snapshot.
  relay.plan({ kind: 'flip', atByte: 4_000 });
  await cluster.replica.start(replicaEnvironment);
  await waitFor(
    'the replica to have the ledger',
    async () => (await cluster.replica.state()).databases['app.db'],
    {
      state: () => cluster.replica.tail(),
    },
  );
  const reader = new LedgerReader(t, 'node', cluster.replica.path('app.db'));
  for (let round = 0; round < 8; round += 1) {
    const kind = round % 2 === 0 ? 'flip' : 'cut';
    const before = relay.done;
    relay.plan({ kind, atByte: random.between(0, 20_000) });
    await waitFor(`the relay to ${kind}`, () => relay.done > before, { state: () => cluster.replica.tail() });
    await writer.commits(20);
  }
  await writer.stop();
  await assertInStep(cluster, 60_000);
  assert.ok((await reader.stop()) > 0);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

test('a stream that stands still is given up and taken up again by itself', { skip }, async (t) => {
  const cluster = await TestCluster.create(t, { environment });
  const relay = await Relay.start(t, Number(new URL(cluster.primary.url).port));
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  await cluster.replica.start({ SKEIN_LEASE_PRIMARY: relay.url });
  await cluster.waitInStep();
  const seen = cluster.replica.lines.length;
  relay.stopTraffic();
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  await cluster.replica.line(/the link to the primary ended/, seen);
  await writer.commits(50);
  await writer.stop();
  relay.cutAll();
  relay.resumeTraffic();
  await assertInStep(cluster);
});

test('peers that talk garbage harm nobody', { skip }, async (t) => {
  const random = new Random(t);
  const cluster = await TestCluster.start(t, { environment });
  createLedger(cluster.primary.path('app.db'));
  await cluster.waitInStep();
  const writer = new LedgerWriter(t, 'node', cluster.primary.path('app.db'), 'writer', 1);
  const url = cluster.primary.url.replace('http', 'ws');
  const hello = JSON.stringify({
    type: 'hello',
    protocol: 1,
    app: 'test',
    node: 'stranger',
    region: 'x',
    candidate: false,
    epoch: 1,
    databases: {
      'app.db': '0000000000000001/8000000000000001',
      'no.db': '0000000000000001/8000000000000001',
    },
    distrusted: ['app.db'],
  });
  const messages: (string | Buffer)[] = [
    'garbage',
    '{}',
    '{"type":"ack","database":"../../x.db","position":"y"}',
    '{"type":"checksums","id":0,"pageSize":4096,"bytes":1000000000}',
    '{"type":"checksums","id":0,"pageSize":3,"bytes":7}',
    Buffer.alloc(0),
    Buffer.from([4, 3, 0, 0]),
    Buffer.concat([Buffer.from([4, 3, 0, 0]), randomBytes(7)]),
    randomBytes(5_000),
    randomBytes(2_000_000),
  ];
  for (let round = 0; round < 30; round += 1) {
    const socket = new WebSocket(`${url}/stream`);
    socket.on('error', () => undefined);
    await Promise.race([once(socket, 'open'), once(socket, 'close')]);
    if (round % 2 === 0) socket.send(hello);
    for (let count = random.between(1, 4); count > 0; count -= 1) {
      socket.send(messages[random.between(0, messages.length - 1)], () => undefined);
    }
    setTimeout(() => socket.terminate(), random.between(1, 60));
    if (socket.readyState !== WebSocket.CLOSED) await once(socket, 'close');
    const raw = connect(Number(new URL(cluster.primary.url).port), '127.0.0.1');
    raw.on('error', () => undefined);
    raw.end(randomBytes(random.between(1, 3_000)));
    raw.resume();
    await once(raw, 'close');
  }
  assert.ok(cluster.primary.pid, 'the primary still runs');
  await writer.commits(20);
  await writer.stop();
  await assertInStep(cluster);
});
