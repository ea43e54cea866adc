import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { at, LoneDoor, MovedReplication } from './support/lone-door.ts';

const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi';
const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone';

function durabilityOf(head: string): string | undefined {
  return /^skein-durability: (.*)$/im.exec(head)?.[1]?.trim();
}

function positionOf(head: string): string | undefined {
  return /^skein-position: (.*)$/im.exec(head)?.[1]?.trim();
}

function cookieOf(head: string): string | undefined {
  return /^set-cookie: __txid=([^;]*)/im.exec(head)?.[1];
}

async function start(...args: Parameters<typeof LoneDoor.start>): Promise<LoneDoor> {
  const door = await LoneDoor.start(...args);
  door.replication.committed.set('app.db', 42);
  return door;
}

test('a database that the request has made is waited for as any other', async (t) => {
  const door = await start(t);
  door.replication.isHeld = (name) => name === 'app.db';
  const make = () => {
    door.replication.committed.set('app.db', 43);
    door.replication.unseen.set('tenant.db', 1);
  };
  const head = await door.exchange(post, ok, make);
  assert.equal(durabilityOf(head), 'local');
  assert.equal(positionOf(head), 'app%2Edb:000000000000002b.tenant%2Edb:0000000000000001');
  door.replication.isHeld = () => true;
  const alone = await door.exchange(post, ok, () => door.replication.unseen.set('other.db', 7));
  assert.deepEqual([durabilityOf(alone), positionOf(alone)], ['replica', 'other%2Edb:0000000000000007']);
});

test('what cannot be captured counts as written, and as held by nobody', async (t) => {
  const door = await start(t);
  const head = await door.exchange(post, ok, () => door.replication.broken.add('app.db'));
  assert.equal(durabilityOf(head), 'local');
  assert.equal(door.door.figures.undurable, 1);
});

test('a write whose lead ended is answered with unknown, whoever leads by then', async (t) => {
  for (const role of ['replica', 'primary'] as const) {
    const door = await start(t);
    const head = await door.exchange(post, ok, () => {
      const before = door.replication;
      door.replication = new MovedReplication();
      door.replication.role = role;
      door.replication.committed.set('app.db', 44);
      before.isOver = true;
    });
    assert.match(head, /^HTTP\/1\.1 503 /);
    assert.equal(durabilityOf(head), 'unknown');
  }
  const waiting = await start(t, { durabilityWaitMs: 5_000 });
  const { replication } = waiting;
  replication.isHeld = () => {
    // While it is waited for.
    setImmediate(() => replication.move(() => (replication.isOver = true)));
    return false;
  };
  const head = await waiting.exchange(post, ok, () => replication.committed.set('app.db', 43));
  assert.equal(durabilityOf(head), 'unknown');
});

test('a write whose lead ended, but during which nobody has written, is answered as the app has', async (t) => {
  for (const [request, ended, status] of [
    [post, 42, 200],
    [post, 43, 503],
    // It may have been sent, and have written, before.
    [post.replace('POST', 'PUT'), 42, 503],
  ] as const) {
    const door = await start(t);
    const head = await door.exchange(request, ok, () => {
      const before = door.replication;
      before.isOver = true;
      before.endedAt = new Map([['app.db', at(ended)]]);
      before.committed.clear();
      // What is applied from the next primary is not lost with this lead.
      door.replication = new MovedReplication();
      door.replication.role = 'replica';
      door.replication.committed.set('app.db', 44);
    });
    assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
    assert.equal(durabilityOf(head), status === 200 ? undefined : 'unknown');
    // By a call, perhaps, its app has had the next primary write.
    assert.equal(positionOf(head), status === 200 ? 'app%2Edb:000000000000002c' : undefined);
  }
});

test('a write that was handed over is where the next primary is', async (t) => {
  const door = await start(t);
  const head = await door.exchange(post, ok, () => {
    const before = door.replication;
    before.isOver = true;
    before.hasHandedOver = true;
    before.committed.clear();
    door.replication = new MovedReplication();
    door.replication.role = 'replica';
    door.replication.committed.set('app.db', 43).set('b.db', 5);
  });
  assert.match(head, /^HTTP\/1\.1 200 /);
  assert.equal(durabilityOf(head), 'replica');
  assert.equal(positionOf(head), 'app%2Edb:000000000000002b.b%2Edb:0000000000000005');
});

test('a GET of which the library says that it wrote is held and given a position', async (t) => {
  const door = await start(t);
  door.replication.committed.set('b.db', 7);
  const wrote = (text: string) => `HTTP/1.1 200 OK\r\nskein-wrote: ${text}\r\nContent-Length: 4\r\n\r\ndone`;
  const head = await door.exchange(get, wrote('app%2Edb:000000000000002a'));
  assert.deepEqual([durabilityOf(head), positionOf(head)], ['replica', 'app%2Edb:000000000000002a']);
  assert.equal(cookieOf(head), positionOf(head));
  assert.doesNotMatch(head, /skein-wrote/i);
  const all = await door.exchange(get, wrote(''));
  assert.equal(positionOf(all), 'app%2Edb:000000000000002a.b%2Edb:0000000000000007');
  door.replication.isHeld = () => false;
  assert.equal(durabilityOf(await door.exchange(get, wrote('app%2Edb:000000000000002a'))), 'local');
});

test('a GET that is replayed to the primary by its name counts as a write', async (t) => {
  const far = await start(t);
  const near = await start(t);
  near.follow(far);
  near.peers = [{ node: 'there', region: 'syd', url: far.url }];
  const client = await near.client();
  client.send(get);
  const app = await near.app.peer(0);
  await app.take('\r\n\r\n');
  app.send('HTTP/1.1 409 No\r\nfly-replay: region=syd\r\nContent-Length: 0\r\n\r\n');
  const farApp = await far.app.peer(0);
  await farApp.take('\r\n\r\n');
  far.replication.committed.set('app.db', 43);
  farApp.send(ok);
  assert.equal(durabilityOf(await client.take('\r\n\r\n')), 'replica');
});

test("the app is told by a mark that is not the token, and no client's mark reaches it", async (t) => {
  const door = await start(t);
  const client = await door.client();
  client.send(
    'GET / HTTP/1.1\r\nHost: h\r\nskein-door: guess\r\nSkein_Door: guess\r\nskein-wrote: a\r\nskein-again: 1\r\n\r\n',
  );
  const head = await (await door.app.peer(0)).take('\r\n\r\n');
  const mark = createHmac('sha256', 'token').update('skein-door').digest('hex');
  assert.deepEqual(head.match(/^skein.*$/gim), [`skein-door: ${mark}`]);
});
