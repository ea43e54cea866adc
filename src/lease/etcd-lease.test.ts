import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import { EtcdServer } from '../../test/support/etcd-server.ts';
import { freePorts } from '../../test/support/free-ports.ts';
import { skipWithout } from '../../test/tools.ts';
import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { EtcdLease } from './etcd-lease.ts';
import { leaseConformance } from './lease-conformance.ts';
import { hasCode, latenessMeter, never, recordOf, take } from './test-support.ts';

const ttlMs = 2000;
const skip = skipWithout('etcd-server');

/** One server for all tests that leave it running, each with keys of its own. */
let shared: Promise<EtcdServer> | undefined;

async function sharedServer(): Promise<EtcdServer> {
  shared ??= EtcdServer.started();
  return await shared;
}

after(async () => (await shared)?.remove());

async function ownServer(t: TestContext): Promise<EtcdServer> {
  const server = await EtcdServer.started();
  t.after(() => server.remove());
  return server;
}

/** Writes without a `Lease`, as another program would. */
async function post(server: EtcdServer, path: string, body: object): Promise<void> {
  const answer = await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
}

leaseConformance('etcd', {
  skip,
  ttlMs,
  // etcd ends its leases in whole seconds, and up to a second late.
  announcementSlackMs: 2_000,
  open: async (t, _ttlMs, { stopsStore }) => {
    const server = stopsStore ? await ownServer(t) : await sharedServer();
    const key = `skein-test/${randomUUID()}`;
    return {
      lease: (name = 'app') => new EtcdLease({ url: server.url, key: `${key}/${name}`, ttlMs }),
      putGarbage: (text) => {
        const [path, value] = [`${key}/app/record`, text].map((part) => Buffer.from(part).toString('base64'));
        return post(server, '/v3/kv/put', { key: path, value });
      },
      stopStore: () => server.stop(),
      startStore: (options) => server.start(options),
      freezeStore: () => server.freeze(),
      thawStore: async () => server.thaw(),
    };
  },
});

test('who comes after the hold has ended in etcd need not wait for the TTL', { skip }, async (t) => {
  const server = await sharedServer();
  const options = { url: server.url, key: randomUUID(), ttlMs: 60_000 };
  const [a, b] = [new EtcdLease(options), new EtcdLease(options)];
  t.after(() => Promise.all([a.close(), b.close()]));
  const token = await take(a, recordOf(1));
  await post(server, '/v3/lease/revoke', { ID: token.split('.')[1] });
  assert.equal((await b.read(never)).isHeld, false);
  assert.equal(await a.renew(token, recordOf(1), never), false);
});

test('of several servers the next is asked where one does not answer', { skip }, async (t) => {
  const [server, frozen] = [await sharedServer(), await ownServer(t)];
  const [closed] = await freePorts(1);
  const key = randomUUID();
  const lease = new EtcdLease({ url: `http://127.0.0.1:${closed}, ${server.url}`, key, ttlMs });
  await take(lease, recordOf(1));
  const other = new EtcdLease({ url: `${frozen.url},${server.url}`, key, ttlMs });
  t.after(() => Promise.all([lease.close(), other.close()]));
  await frozen.freeze();
  // A request that may have arrived is not sent again; the next one goes elsewhere.
  await assert.rejects(other.read(never), hasCode('LEASE_UNREACHABLE'));
  assert.equal((await other.read(never)).record?.epoch, 1);
});

test('a name and a password in the address are used, and never told', { skip }, async (t) => {
  const server = await ownServer(t);
  const name = 'root';
  await post(server, '/v3/auth/user/add', { name, password: 'hush/1' });
  await post(server, '/v3/auth/role/add', { name });
  await post(server, '/v3/auth/user/grant', { user: name, role: name });
  await post(server, '/v3/auth/enable', {});
  const withPassword = (password: string) => {
    const url = server.url.replace('//', `//${name}:${encodeURIComponent(password)}@`);
    const lease = new EtcdLease({ url, key: 'app', ttlMs });
    t.after(() => lease.close());
    return lease;
  };
  const told = { node: 'a', region: 'ams', url: '', epoch: 1, positions: {}, isConnected: false };
  const lease = withPassword('hush/1');
  const token = await take(lease, recordOf(1));
  await lease.announce(told, never);
  await server.stop();
  await server.start();
  // etcd forgets its tokens with a restart.
  await lease.read(never).catch(() => undefined);
  assert.equal(await lease.renew(token, recordOf(2), never), true);
  const seen = await lease.read(never);
  const changed = lease.changed(seen, never);
  await lease.renew(token, recordOf(3), never);
  await changed;
  for (const wrong of [withPassword('hush/2'), new EtcdLease({ url: server.url, key: 'app', ttlMs })]) {
    await assert.rejects(wrong.read(never), (error) => {
      assert.ok(error instanceof SkeinError && error.code === 'LEASE_UNREACHABLE');
      assert.doesNotMatch(JSON.stringify([error.message, String(error.cause)]), /hush/);
      return true;
    });
    await wrong.close();
  }
});

test('an address that is none is refused, and not told', () => {
  for (const url of ['', 'etcd://hush', 'http://a:hush@b:x', 'http://a,']) {
    assert.throws(
      () => new EtcdLease({ url, key: 'app', ttlMs }),
      (error) => hasCode('CONFIG_INVALID')(error) && !String(error).includes('hush'),
    );
  }
});

test('an outage of the store that is shorter than the TTL changes nothing about a hold', {
  skip,
}, async (t) => {
  const server = await ownServer(t);
  const options = { url: server.url, key: 'app', ttlMs };
  const [a, b] = [new EtcdLease(options), new EtcdLease(options)];
  t.after(() => Promise.all([a.close(), b.close()]));
  const lateness = latenessMeter();
  const token = await take(a, recordOf(1));
  const takenMs = monotonicMs();
  await b.read(never);
  await server.stop();
  await server.start();
  await a.read(never).catch(() => undefined);
  await b.read(never).catch(() => undefined);
  if (monotonicMs() - takenMs + lateness() > ttlMs) return t.skip('etcd took longer than the TTL to start');
  assert.equal((await b.read(never)).isHeld, true);
  assert.equal(await a.renew(token, recordOf(2), never), true);
  return undefined;
});
