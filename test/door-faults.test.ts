import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DoorNodes } from './support/door-nodes.ts';
import { pause } from './support/pause.ts';
import { RawPeer } from './support/raw-peer.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';

type Notes = { readonly notes: readonly { readonly text: string }[] };

async function notesOf(doors: DoorNodes, node: TestNode): Promise<string[]> {
  const { notes } = (await (await doors.get(node, '/notes')).json()) as Notes;
  return notes.map(({ text }) => text);
}

/** The most memory that the node's process has had so far, in MiB. */
function peakOf(node: TestNode): number {
  const status = readFileSync(`/proc/${node.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024;
}

test('a primary that is lost in the middle of a forwarded upload has it answered with 502, and not sent again', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_PRIMARY_WAIT: '15s' } });
  const { candidates } = doors;
  const leader = await candidates.leader();
  const [replica] = candidates.others(leader);
  await doors.post(replica, '/notes', 'first');
  const upload = await RawPeer.connect(doors.port(replica));
  upload.send('POST /notes HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf of it');
  await delay(200);
  await leader.kill();
  assert.match(await upload.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
  // Held until another one leads.
  const written = await doors.post(replica, '/notes', 'second');
  assert.deepEqual([written.status, await notesOf(doors, replica)], [201, ['first', 'second']]);
});

test('a primary that falls silent in the middle of a forwarded upload has it answered with 502', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_PRIMARY_WAIT: '15s' } });
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  await doors.post(replica, '/notes', 'first');
  const upload = await RawPeer.connect(doors.port(replica));
  upload.send('POST /notes HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf of it');
  await delay(200);
  const { pid } = leader;
  assert.ok(pid !== undefined);
  await pause(pid);
  try {
    await waitFor('the answer', () => upload.received.includes('\r\n\r\n'), { timeoutMs: 60_000 });
    assert.match(upload.received, /^HTTP\/1\.1 502 .*fallen silent/s);
    assert.equal((await doors.post(replica, '/notes', 'second')).status, 201);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a request that is safe to repeat outlives the loss of the primary', async (t) => {
  const environment = { SKEIN_HTTP_PRIMARY_WAIT: '15s', SKEIN_HTTP_ALWAYS_FORWARD: '/slow,/notes' };
  const doors = await DoorNodes.start(t, { environment });
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  // Once this is durable, there is a standby.
  await doors.post(replica, '/notes', 'first');
  const reading = doors.get(replica, '/slow');
  await delay(200);
  await leader.kill();
  const answer = await reading;
  assert.equal(answer.status, 200);
  assert.notEqual(((await answer.json()) as { node: string }).node, leader.name);
});

test('an app that crashes in the middle of a response ends it, and is waited for', async (t) => {
  const doors = await DoorNodes.start(t);
  const leader = await doors.candidates.leader();
  const broken = await doors.get(leader, '/crash');
  await assert.rejects(broken.text());
  // While its sockets are closed one after the other, the process that ends could still be given a write, which is not sent twice.
  await waitFor('the process to be gone', () => leader.lines.some((line) => /process ended/.test(line)));
  assert.equal((await doors.post(leader, '/notes', 'after')).status, 201);
});

test('a position that does not exist is dropped at once, for one that does', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_READ_WAIT: '10s' } });
  const cookie = '__txid=00000000000fffff';
  for (const node of doors.candidates.nodes) {
    const beganMs = performance.now();
    const answer = await doors.get(node, '/notes', { cookie });
    assert.equal(answer.status, 200);
    assert.match(
      answer.headers.get('set-cookie') ?? '',
      /^__txid=app%2Edb:0{13}[0-9a-f]{3}; Path=\/; Max-Age=300;/,
    );
    assert.ok(performance.now() - beganMs < 5_000, node.name);
  }
  for (const nonsense of [
    '__txid=',
    '__txid=x',
    '__txid=%00:0000000000000001',
    '__txid=other.db:0000000000000001',
  ])
    assert.equal(
      (await doors.get(doors.candidates.nodes[0], '/notes', { cookie: nonsense })).status,
      200,
      nonsense,
    );
});

test('a read that waits in vain is told so, and a write that is not durable in time as well', async (t) => {
  const doors = await DoorNodes.start(t, {
    ttl: '10s',
    environment: {
      SKEIN_HTTP_READ_WAIT: '700ms',
      SKEIN_HTTP_DURABILITY_WAIT: '300ms',
      SKEIN_HTTP_DURABILITY: 'replica',
    },
  });
  const leader = await doors.candidates.leader();
  const others = doors.candidates.others(leader);
  await waitFor('a write to be durable', async () => {
    const written = await doors.post(leader, '/notes', 'a');
    return written.headers.get('skein-durability') === 'replica';
  });
  const goOn = (nodes: readonly TestNode[]) => {
    for (const { pid } of nodes) if (pid !== undefined) process.kill(pid, 'SIGCONT');
  };
  for (const { pid } of others) await pause(Number(pid));
  try {
    const written = await doors.post(leader, '/notes', 'b');
    assert.deepEqual([written.status, written.headers.get('skein-durability')], [201, 'local']);
    const metrics = await (await leader.fetch('/metrics')).text();
    assert.match(metrics, /skein_door_durability_timeouts_total\{[^}]*\} [1-9]/);
  } finally {
    goOn(others);
  }
  await pause(Number(leader.pid));
  try {
    const late = await doors.get(others[0], '/notes', { 'skein-position': '00000000000fffff' });
    assert.deepEqual([late.status, late.headers.get('retry-after')], [504, '1']);
  } finally {
    goOn([leader]);
  }
});

test('a body of a gigabyte that is dropped in the middle costs neither node memory', async (t) => {
  const doors = await DoorNodes.start(t);
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  const before = [leader, replica].map(peakOf);
  const client = await RawPeer.connect(doors.port(replica));
  client.send(`POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: ${1 << 30}\r\n\r\n`);
  const chunk = Buffer.alloc(1 << 20);
  for (let sent = 0; sent < 512; sent += 1)
    await new Promise<void>((resolve, reject) =>
      client.socket.write(chunk, (error) => (error ? reject(error) : resolve())),
    );
  client.socket.resetAndDestroy();
  assert.equal((await doors.post(replica, '/notes', 'after')).status, 201);
  const grown = [leader, replica].map((node, index) => peakOf(node) - before[index]);
  assert.ok(Math.max(...grown) < 100, `grown by ${grown.map(Math.round).join(' and ')} MiB`);
});

test('with an outer proxy that replays, a write on a replica names the primary', async (t) => {
  const doors = await DoorNodes.start(t, { environment: { SKEIN_HTTP_FORWARD: 'fly-replay' } });
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  const answer = await doors.post(replica, '/notes', 'a');
  assert.deepEqual([answer.status, answer.headers.get('fly-replay')], [409, `instance=${leader.name}`]);
  const own = await doors.get(replica, '/write');
  assert.deepEqual([own.status, own.headers.get('skein-replay')], [409, 'primary'], 'and so does the app');
});

test('paths that are passed through stay here, and those that are always forwarded do not', async (t) => {
  const environment = { SKEIN_HTTP_PASSTHROUGH: '/headers', SKEIN_HTTP_ALWAYS_FORWARD: '/not*' };
  const doors = await DoorNodes.start(t, { environment });
  const leader = await doors.candidates.leader();
  const [replica] = doors.candidates.others(leader);
  const nodeOf = async (path: string) =>
    ((await (await doors.get(replica, path)).json()) as { node: string }).node;
  assert.equal(await nodeOf('/headers'), replica.name);
  assert.equal(await nodeOf('/notes'), leader.name);
  assert.equal(await nodeOf('/%6eotes?x=1'), leader.name === replica.name ? '' : leader.name);
  for (const path of ['/skein/health', '/litefs/health']) {
    const health = await doors.get(replica, path);
    assert.deepEqual([health.status, await health.text()], [200, 'OK\n']);
  }
});
