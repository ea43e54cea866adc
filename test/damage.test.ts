import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerReader, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { Relay } from './support/relay.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const noteMark = 'a flock in flight, every bird sees the way';
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '100' };

function segments(node: TestNode): string[] {
  const directory = join(node.databases, '.skein/log/app.db');
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(directory, name));
}

function flipBit(path: string, random: Random): string {
  const file = openSync(path, 'r+');
  const at = random.between(0, fstatSync(file).size - 1);
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] ^= 1 << random.between(0, 7);
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  return `flip at byte ${at}`;
}

function cut(path: string, random: Random): string {
  const file = openSync(path, 'r');
  const bytes = random.between(0, fstatSync(file).size - 1);
  closeSync(file);
  truncateSync(path, bytes);
  return `cut to ${bytes} bytes`;
}

/** A cluster with writes behind it, and a writer that goes on. */
async function withHistory(t: TestContext): Promise<{ cluster: TestCluster; writer: LedgerWriter }> {
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await sqlite3(
    path,
    `INSERT INTO entry (writer, number, note) VALUES ('mark', 1, '${noteMark}')`,
    'UPDATE counter SET value = 1',
  );
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  await writer.commits(100);
  await waitFor(
    'the replica to have the ledger',
    async () => (await cluster.replica.state()).databases['app.db'],
  );
  return { cluster, writer };
}

for (const [damage, harm] of [
  ['a flipped bit', flipBit],
  ['a cut', cut],
] as const) {
  for (const whose of ['primary', 'replica'] as const) {
    test(`${damage} in the log of a stopped ${whose} costs nothing: the cluster comes back in step`, {
      skip,
    }, async (t) => {
      const random = new Random(t);
      const { cluster, writer } = await withHistory(t);
      const node = cluster[whose];
      for (let round = 0; round < 4; round += 1) {
        // In turn after an orderly stop and after a crash, which leaves more for the log to do.
        if (round % 2 === 0) await node.stop();
        else await node.kill();
        const paths = segments(node);
        const path = paths[random.between(0, paths.length - 1)];
        t.diagnostic(harm(path, random));
        await writer.commits(20);
        await node.start();
        await writer.commits(20);
      }
      await writer.stop();
      await assertInStep(cluster);
      for (const each of cluster.nodes) await assertNothingLost(each.path('app.db'), [writer]);
    });
  }
}

for (const whose of ['primary', 'replica'] as const) {
  test(`a database file of a stopped ${whose} that was changed without SQLite is told, and nodes agree again`, {
    skip,
  }, async (t) => {
    const { cluster, writer } = await withHistory(t);
    await writer.stop();
    await cluster.waitInStep();
    const node = cluster[whose];
    await node.stop();
    // A byte of a note, which belongs to no structure of SQLite's.
    const path = node.path('app.db');
    const note = readFileSync(path).lastIndexOf(noteMark);
    assert.ok(note > 0, 'the note is in the file');
    const file = openSync(path, 'r+');
    writeSync(file, 'X', note);
    closeSync(file);
    const seen = node.lines.length;
    await node.start();
    await node.line(/the log does not lead to this state|this copy is not what its log says/, seen);
    await assertInStep(cluster);
    const marked = `SELECT count(*) FROM entry WHERE note = '${noteMark}'`;
    // What is on the primary is right by definition.
    const expected = whose === 'primary' ? '0' : '1';
    for (const each of cluster.nodes) assert.equal(await sqlite3(each.path('app.db'), marked), expected);
  });
}

test('a flipped bit in the log of a running primary is found when a replica reads it, and the pages are compared', {
  skip,
}, async (t) => {
  const random = new Random(t);
  const { cluster, writer } = await withHistory(t);
  await cluster.replica.stop();
  await writer.commits(200);
  await writer.stop();
  for (const path of segments(cluster.primary)) t.diagnostic(flipBit(path, random));
  await cluster.replica.start();
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});

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
  const { cluster, writer } = await withHistory(t);
  const random = new Random(t);
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
