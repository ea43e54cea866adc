import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { monotonicMs } from '../base/clock.ts';
import { ConsulLease } from './consul-lease.ts';
import { ConsulStandIn, type ConsulStandInOptions } from './consul-stand-in.ts';
import type { Lease } from './lease.ts';
import { leaseConformance } from './lease-conformance.ts';
import { hasCode, never, recordOf, take } from './test-support.ts';

/** A quarter of it is the time for a call, in which this process is client and server at once. */
const ttlMs = 4_000;
/** As in a Consul whose `session_ttl_min` was lowered, so that tests are quick. */
const quick: ConsulStandInOptions = { sessionTtlMinMs: 100 };

let shared: Promise<ConsulStandIn> | undefined;
after(async () => (await shared)?.stop());

// The first calls in a process take the longest, and the tests of the suite begin all at once.
before(async () => {
  const { url } = await sharedStandIn();
  const lease = new ConsulLease({ url, key: 'first', ttlMs: 60_000 });
  await take(lease, recordOf(1));
  await lease.close();
});

function sharedStandIn(): Promise<ConsulStandIn> {
  shared ??= ConsulStandIn.start(quick);
  return shared;
}

async function startStandIn(t: TestContext, options: ConsulStandInOptions): Promise<ConsulStandIn> {
  const standIn = await ConsulStandIn.start(options);
  t.after(() => standIn.stop());
  return standIn;
}

leaseConformance('consul', {
  ttlMs,
  without: { order: 'a transaction of Consul cannot compare a value' },
  open: async (t, ttl, { stopsStore }) => {
    const standIn = stopsStore ? await startStandIn(t, quick) : await sharedStandIn();
    const prefix = `test-${randomUUID()}`;
    return {
      lease: (name = 'lease') =>
        new ConsulLease({ url: `${standIn.url}/${prefix}`, key: `skein/${name}`, ttlMs: ttl }),
      putGarbage: async (body) => {
        const answer = await fetch(`${standIn.url}/v1/kv/${prefix}/skein/lease`, { method: 'PUT', body });
        assert.equal(await answer.json(), true);
      },
      stopStore: () => standIn.stop(),
      startStore: (options) => standIn.restart(options),
      freezeStore: async () => standIn.freeze(),
      thawStore: async () => standIn.thaw(),
    };
  },
});

function leaseAt(t: TestContext, url: string, ttl = ttlMs, lockDelayMs?: number): ConsulLease {
  const lease = new ConsulLease({ url, key: 'skein/lease', ttlMs: ttl, lockDelayMs });
  t.after(() => lease.close());
  return lease;
}

/** Reads until the lease is free. */
async function untilFree(lease: Lease) {
  for (;;) {
    const state = await lease.read(never);
    if (!state.isHeld) return state;
    await lease.changed(state, never);
  }
}

describe('consul lease: what lets it in', { concurrency: true }, () => {
  test('the token and the prefix are those of the address, and no failure names the token', async (t) => {
    const standIn = await startStandIn(t, { token: 'se/cret' });
    const { host } = new URL(standIn.url);
    await take(leaseAt(t, `http://:se%2Fcret@${host}/apps/shop`, 10_000), recordOf(1));
    assert.deepEqual([...standIn.state.entries.keys()], ['apps/shop/skein/lease']);
    assert.ok(standIn.state.nodes.has('apps/shop/skein'));
    const refused = leaseAt(t, `http://:wrong-word@${host}/apps/shop`, 10_000);
    await assert.rejects(refused.read(never), (error) => {
      assert.ok(hasCode('LEASE_UNREACHABLE')(error));
      assert.match(String(error), /refuses the token/);
      assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /wrong-word/);
      return true;
    });
  });

  test('a token that may write sessions but not keys is told apart from a lease that is taken', async (t) => {
    const standIn = await startStandIn(t, quick);
    const lease = leaseAt(t, standIn.url);
    standIn.state.denied = 'skein/';
    await assert.rejects(take(lease, recordOf(1)), hasCode('LEASE_UNREACHABLE'));
  });

  test('a TTL that Consul does not take is an error that says which it takes', async (t) => {
    const standIn = await startStandIn(t, {});
    await assert.rejects(take(leaseAt(t, standIn.url), recordOf(1)), (error) => {
      assert.ok(hasCode('LEASE_UNREACHABLE')(error));
      assert.match(String(error), /must be between \[10s=24h0m0s\]/);
      return true;
    });
  });

  test('an address that is none of Consul is refused without naming its token', () => {
    for (const url of ['consul', 'redis://:secret@h', 'http://:secret@h:x', 'http://:secret%@h']) {
      assert.throws(
        () => new ConsulLease({ url, key: 'k', ttlMs }),
        (error) => hasCode('CONFIG_INVALID')(error) && !inspect(error).includes('secret'),
      );
    }
  });
});

describe('consul lease: sessions', { concurrency: true }, () => {
  test('a hold that Consul ends late stays a hold until then, for its holder too', async (t) => {
    const standIn = await startStandIn(t, { ...quick, expiryFactor: 2 });
    const [holder, follower] = [leaseAt(t, standIn.url, 2_000), leaseAt(t, standIn.url, 2_000)];
    const beganMs = monotonicMs();
    const token = await take(holder, recordOf(1));
    const free = await untilFree(follower);
    assert.ok(monotonicMs() - beganMs >= 4_000);
    assert.ok(await follower.acquire(free, recordOf(2, 'b'), never));
    assert.equal(await holder.renew(token, recordOf(1), never), false);
  });

  test('a lock delay holds off after an end of its own, and not after a release', async (t) => {
    const standIn = await startStandIn(t, quick);
    const [holder, follower] = [leaseAt(t, standIn.url, ttlMs, 30_000), leaseAt(t, standIn.url)];
    const token = await take(holder, recordOf(1));
    assert.equal(await holder.release(token, recordOf(1), never), true);
    await take(holder, recordOf(2));
    const free = await untilFree(follower);
    assert.equal(await follower.acquire(free, recordOf(3, 'b'), never), undefined);
  });

  test('a hold depends on no agent and on no health check', async (t) => {
    const standIn = await startStandIn(t, quick);
    await take(leaseAt(t, standIn.url), recordOf(1));
    const [session] = standIn.state.sessions.values();
    assert.equal(session?.Node, 'skein');
    assert.deepEqual(session?.NodeChecks, []);
    assert.equal(session?.Behavior, 'release');
  });

  test('sessions that came to nothing and those of a released hold do not pile up', async (t) => {
    const standIn = await startStandIn(t, quick);
    const leases = Array.from({ length: 4 }, () => leaseAt(t, standIn.url, 60_000));
    const seen = await Promise.all(leases.map((lease) => lease.read(never)));
    const tokens = await Promise.all(
      leases.map((lease, at) => lease.acquire(seen[at] as (typeof seen)[0], recordOf(1), never)),
    );
    const at = tokens.findIndex((token) => token !== undefined);
    assert.equal(
      await leases[at]?.release(tokens[at] as NonNullable<(typeof tokens)[0]>, recordOf(1), never),
      true,
    );
    // They are destroyed after the answer that they were for.
    while (standIn.state.sessions.size > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test('a node that starts again takes over the announcement of its name', async (t) => {
    const standIn = await startStandIn(t, quick);
    const told = { node: 'a', region: '', url: '', epoch: 1, positions: {}, isConnected: true };
    await leaseAt(t, standIn.url, 60_000).announce(told, never);
    const again = leaseAt(t, standIn.url, 60_000);
    await again.announce({ ...told, epoch: 2 }, never);
    assert.deepEqual(await again.announcements(never), [{ ...told, epoch: 2 }]);
  });

  test('a closed lease gives nothing up, ends its waits and takes no more calls', async (t) => {
    const standIn = await startStandIn(t, quick);
    const lease = leaseAt(t, standIn.url, 60_000);
    await take(lease, recordOf(1));
    const waiting = lease.changed(await lease.read(never), never);
    await lease.close();
    await waiting;
    await assert.rejects(lease.read(never), hasCode('LEASE_UNREACHABLE'));
    assert.equal(standIn.state.sessions.size, 1);
  });
});
