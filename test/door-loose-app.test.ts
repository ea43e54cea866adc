import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BareDoor } from './support/bare-door.ts';
import type { RawPeer } from './support/raw-peer.ts';
import { waitFor } from './support/wait-for.ts';

const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const head = 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
/** With what it tells of, the evil one is the body. */
const ofEvil = `HTTP/1.1 200 OK\r\nContent-Length: ${evil.length}\r\n\r\n`;
const none = 'HTTP/1.1 204 None\r\n\r\n';

/** A client has asked, and has been told this. */
async function asked(t: TestContext, request: string, response: string) {
  const door = await BareDoor.start(t);
  const client = await door.client();
  const peer = await answer(door, client, request, response);
  return { door, app: door.app, client, peer };
}

/** Returns the connection on which the app was asked. */
async function answer(door: BareDoor, client: RawPeer, request: string, response: string): Promise<RawPeer> {
  client.send(request);
  const peer = await waitFor('the request', () =>
    door.app.peers.find(({ received }) => received.endsWith('\r\n\r\n')),
  );
  await peer.take('\r\n\r\n');
  peer.send(response);
  assert.equal(await client.take('\r\n\r\n'), response);
  return peer;
}

test('a body that comes after the head of an answer to HEAD is the answer to nobody', async (t) => {
  for (const [request, response] of [
    [head, ofEvil],
    [head, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    [get, ofEvil.replace('200 OK', '304 Same')],
  ]) {
    const { app, client, peer } = await asked(t, request, response);
    client.send(get);
    const next = await app.peer(1);
    await next.take('\r\n\r\n');
    peer.send(evil);
    await peer.closed();
    next.send(ok);
    assert.equal(await client.take('ok'), ok);
  }
});

test('a connection that has answered HEAD is used again when it has rested', async (t) => {
  const { door, client, peer } = await asked(t, head, ofEvil);
  const sinceMs = door.door.nowMs();
  await waitFor('the rest to be over', () => door.door.nowMs() - sinceMs > 1_600);
  client.send(get);
  await peer.take('\r\n\r\n');
  peer.send(ok);
  assert.equal(await client.take('ok'), ok);
  assert.equal(door.app.peers.length, 1);
});

test('a 204 that tells of a body, which it must not, ends its connection', async (t) => {
  const { client, peer } = await asked(t, get, none);
  client.send(get);
  await peer.take('\r\n\r\n');
  peer.send('HTTP/1.1 204 None\r\nContent-Length: 4\r\n\r\n');
  assert.equal(await client.take('\r\n\r\n'), none);
  await peer.closed();
});

test('an app that has once sent a body where there is none is not asked again after such an answer', async (t) => {
  for (const late of [
    // While nobody has asked, and as the answer to somebody who has.
    async (peer: RawPeer) => peer.send('late'),
    async (peer: RawPeer, client: RawPeer) => {
      client.send(get);
      await peer.take('\r\n\r\n');
      peer.send('late\r\n\r\n');
      assert.match(await client.take('\r\n\r\n'), /^HTTP\/1\.1 502 /);
      await client.take('\n');
    },
  ]) {
    const { door, client, peer } = await asked(t, get, none);
    await late(peer, client);
    await peer.closed();
    const next = await answer(door, client, get, none);
    await next.closed();
    // Others are kept.
    const last = await answer(door, client, get, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal(await answer(door, client, get, none), last);
  }
});
