import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { sleep } from '../base/sleep.ts';
import { type PeerInfo, peerUpgrade } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import { Peers } from './peers.ts';

/** The peers of one node, with a port of its own, that know whom the test tells them. */
class Member {
  readonly name: string;
  readonly peers: Peers;
  readonly info: PeerInfo;
  readonly warnings: string[] = [];
  readonly ups: PeerLink[] = [];
  readonly downs: PeerLink[] = [];
  readonly sockets = new Set<Duplex>();
  readonly knows: PeerInfo[] = [];

  private constructor(name: string, app: string, server: Server) {
    this.name = name;
    this.info = {
      node: name,
      region: name,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    };
    this.peers = new Peers({
      identity: { ...this.info, app, run: randomUUID() },
      secret: undefined,
      clockMs: () => 0,
      known: () => this.knows,
      up: (link) => this.ups.push(link),
      down: (link) => this.downs.push(link),
      received: () => undefined,
      warn: (_message, { reason }) => this.warnings.push(String(reason)),
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.sockets.add(socket);
      this.peers.accept(request, socket, head);
    });
    this.peers.start();
  }

  static async start(t: TestContext, name: string, app = 'app'): Promise<Member> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const member = new Member(name, app, server);
    t.after(() => {
      member.peers.stop();
      server.close();
    });
    return member;
  }

  linkedWith(): string[] {
    return this.peers
      .links()
      .map(({ peer }) => peer.node)
      .sort();
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}

test('two that know each other have one link, made by the one with the lesser name', async (t) => {
  const [one, two] = [await Member.start(t, 'ams'), await Member.start(t, 'ord')];
  one.knows.push(two.info);
  two.knows.push(one.info);
  await until(() => one.linkedWith().length === 1 && two.linkedWith().length === 1);
  assert.ok(one.peers.links()[0].isDialed);
  assert.ok(!two.peers.links()[0].isDialed);
  assert.equal(one.sockets.size, 0);
});

test('nodes learn of each other from those that they are linked with, and keep the links when that one goes', async (t) => {
  const [one, two, three] = await Promise.all(['ams', 'ord', 'syd'].map((name) => Member.start(t, name)));
  for (const other of [two, three]) one.knows.push(other.info);
  await until(() => [one, two, three].every((member) => member.linkedWith().length === 2));
  one.peers.stop();
  await until(() => two.downs.length > 0 && three.downs.length > 0);
  assert.deepEqual([two.linkedWith(), three.linkedWith()], [['syd'], ['ord']]);
});

test('the one with the greater name makes the link where the other cannot', async (t) => {
  const [one, two] = [await Member.start(t, 'ams'), await Member.start(t, 'ord')];
  two.knows.push(one.info);
  await until(() => two.linkedWith().length === 1);
  assert.ok(two.peers.links()[0].isDialed);
});

test('a link that was lost comes back', async (t) => {
  const [one, two] = [await Member.start(t, 'ams'), await Member.start(t, 'ord')];
  one.knows.push(two.info);
  for (let round = 1; round <= 3; round += 1) {
    await until(() => one.ups.length === round && two.ups.length === round);
    for (const socket of two.sockets) socket.destroy();
    await until(() => one.downs.length === round && two.downs.length === round);
  }
  await until(() => one.linkedWith().length === 1);
});

test('a node of another app is refused, and that is said once', async (t) => {
  const [one, two] = [await Member.start(t, 'ams'), await Member.start(t, 'ord', 'another app')];
  one.knows.push(two.info);
  await until(() => one.warnings.length > 0);
  assert.match(one.warnings[0], /app/);
  await until(() => two.sockets.size > 2);
  assert.equal(one.warnings.length, 1);
  assert.deepEqual([one.linkedWith(), two.linkedWith()], [[], []]);
});

test('what asks for another upgrade, or says nothing of the protocol, gets no link', async (t) => {
  const member = await Member.start(t, 'ams');
  const answer = await fetch(`${member.info.url}/peer`, {
    headers: { connection: 'upgrade' },
    signal: AbortSignal.timeout(200),
  }).catch(() => undefined);
  assert.equal(answer, undefined);
  const { dialPeer } = await import('./dial-peer.ts');
  const { socket } = await dialPeer(member.info.url, undefined, AbortSignal.timeout(5_000));
  socket.write('{"t":"ping","clockMs":1}\n');
  socket.resume();
  await once(socket, 'close');
  assert.deepEqual(member.linkedWith(), []);
  assert.equal(peerUpgrade, 'skein-peer');
});
