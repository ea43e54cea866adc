import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { Lease, LeaseState, LeaseToken } from './lease.ts';
import { announcementTests } from './lease-conformance-announcements.ts';
import { outageTests } from './lease-conformance-outages.ts';
import {
  type Conformance,
  type LeaseConformanceOptions,
  latenessMeter,
  never,
  recordOf,
  take,
} from './test-support.ts';

export type { LeaseConformanceOptions, LeaseStore } from './test-support.ts';

/** What every `Lease` promises, as tests. Those that wait for a TTL run beside each other. */
export function leaseConformance(name: string, options: LeaseConformanceOptions): void {
  const slackMs = options.slackMs ?? 300;
  const conformance: Conformance = {
    announcementSlackMs: slackMs,
    without: {},
    ...options,
    slackMs,
    openStore: async (t, use = { stopsStore: false }) => {
      const store = await options.open(t, options.ttlMs, use);
      return {
        ...store,
        lease: (leaseName) => {
          const lease = store.lease(leaseName);
          t.after(() => lease.close());
          return lease;
        },
      };
    },
  };
  describe(`lease conformance: ${name}`, { skip: options.skip ?? false, concurrency: 12 }, () => {
    holdTests(conformance);
    contentionTests(conformance);
    expiryTests(conformance);
    amendTests(conformance);
    sharingTests(conformance);
    changedTests(conformance);
    announcementTests(conformance);
    outageTests(conformance);
  });
}

/** Follows the lease as a candidate does, until nobody holds it. */
async function untilFree(lease: Lease): Promise<{ state: LeaseState; atMs: number }> {
  for (;;) {
    const state = await lease.read(never);
    if (!state.isHeld) return { state, atMs: monotonicMs() };
    await lease.changed(state, never);
  }
}

function holdTests({ openStore, without }: Conformance): void {
  test('an empty store has no record, and nobody holds the lease', { skip: without.emptiness }, async (t) => {
    const state = await (await openStore(t)).lease().read(never);
    assert.equal(state.record, undefined);
    assert.equal(state.isHeld, false);
  });

  test('the first acquire takes the lease and writes the record', async (t) => {
    const lease = (await openStore(t)).lease();
    const before = await lease.read(never);
    const record = recordOf(1, 'a', { positions: { 'app.db': '0000000000000003/8000000000000007' } });
    assert.ok(await lease.acquire(before, record, never));
    const after = await lease.read(never);
    assert.deepEqual(after.record, record);
    assert.equal(after.isHeld, true);
    assert.notEqual(after.version, before.version);
    assert.equal((await lease.read(never)).version, after.version, 'a read changes nothing');
  });

  test('a lease that is held is not taken again', async (t) => {
    const lease = (await openStore(t)).lease();
    await take(lease, recordOf(1));
    assert.equal(await lease.acquire(await lease.read(never), recordOf(2), never), undefined);
    assert.equal((await lease.read(never)).record?.epoch, 1);
  });

  test('a renewal writes the record, also when it is the same', async (t) => {
    const lease = (await openStore(t)).lease();
    const token = await take(lease, recordOf(1));
    const first = await lease.read(never);
    assert.equal(await lease.renew(token, recordOf(1), never), true);
    assert.notEqual((await lease.read(never)).version, first.version);
    assert.equal(await lease.renew(token, recordOf(1, 'a', { standby: 'b' }), never), true);
    assert.equal((await lease.read(never)).record?.standby, 'b');
  });

  test('a release frees the lease at once and keeps the record that it wrote', async (t) => {
    const lease = (await openStore(t)).lease();
    const token = await take(lease, recordOf(1));
    assert.equal(await lease.release(token, recordOf(1, 'a', { holder: null }), never), true);
    const freed = await lease.read(never);
    assert.equal(freed.isHeld, false);
    assert.deepEqual(freed.record, recordOf(1, 'a', { holder: null }));
    assert.equal(await lease.renew(token, recordOf(9), never), false);
    assert.equal(await lease.release(token, recordOf(9), never), false);
    assert.equal((await lease.read(never)).version, freed.version);
    assert.ok(await lease.acquire(freed, recordOf(2), never));
  });
}

function contentionTests({ openStore, without }: Conformance): void {
  const skip = without.contention ?? false;

  for (const count of [2, 8]) {
    test(`of ${count} contenders one takes the lease`, { skip }, async (t) => {
      const store = await openStore(t);
      const leases = Array.from({ length: count }, () => store.lease());
      for (const epoch of [1, 2, 3]) {
        const states = await Promise.all(leases.map((lease) => lease.read(never)));
        const tokens = await Promise.all(
          leases.map((lease, at) =>
            lease.acquire(states[at] as LeaseState, recordOf(epoch, `n${at}`), never),
          ),
        );
        const winners = [...tokens.keys()].filter((at) => tokens[at] !== undefined);
        assert.equal(winners.length, 1, `winners of epoch ${epoch}: ${winners.join(' ')}`);
        const [winner] = winners as [number];
        const { record } = await (leases[(winner + 1) % count] as Lease).read(never);
        assert.deepEqual(record, recordOf(epoch, `n${winner}`));
        assert.equal(
          await (leases[winner] as Lease).release(tokens[winner] as LeaseToken, recordOf(epoch), never),
          true,
        );
      }
    });
  }

  test('an acquire that saw an older state fails, though the lease is free again', { skip }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const old = await b.read(never);
    const token = await take(a, recordOf(1));
    const held = await b.read(never);
    assert.equal(await b.acquire(old, recordOf(1, 'b'), never), undefined);
    await a.release(token, recordOf(1), never);
    assert.equal(await b.acquire(old, recordOf(1, 'b'), never), undefined);
    assert.equal(await b.acquire(held, recordOf(1, 'b'), never), undefined);
    assert.ok(await b.acquire(await b.read(never), recordOf(2, 'b'), never));
  });
}

function expiryTests({ openStore, ttlMs, slackMs, without }: Conformance): void {
  const skip = without.expiry ?? false;

  test('renewals keep a lease, and without them it ends after its TTL and keeps its record', {
    skip,
  }, async (t) => {
    const store = await openStore(t);
    const [holder, follower] = [store.lease(), store.lease()];
    const lateness = latenessMeter();
    let beganMs = monotonicMs();
    const token = await take(holder, recordOf(1));
    const freed = untilFree(follower);
    for (let renewals = 1; renewals <= 5; renewals += 1) {
      await sleep(ttlMs / 3);
      beganMs = monotonicMs();
      assert.equal(await holder.renew(token, recordOf(1 + renewals), never), true);
    }
    const endedMs = monotonicMs();
    const { state, atMs } = await freed;
    assert.deepEqual(state.record, recordOf(6));
    assert.ok(atMs - beganMs >= ttlMs, `it ended ${atMs - beganMs} ms after the last renewal began`);
    const limitMs = ttlMs + slackMs + lateness();
    assert.ok(atMs - endedMs <= limitMs, `it ended ${atMs - endedMs} ms after the last renewal`);
    assert.ok(await follower.acquire(state, recordOf(7, 'b'), never), 'who saw it end can take it at once');
  });

  test('a hold that ended is neither renewed nor released, whoever holds the lease', { skip }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const old = await take(a, recordOf(1));
    const { state } = await untilFree(b);
    // The first two calls come from who saw the hold end, the others from who held it.
    for (const lease of [b, a]) {
      assert.equal(await lease.renew(old, recordOf(8), never), false);
      assert.equal(await lease.release(old, recordOf(9), never), false);
    }
    assert.equal((await b.read(never)).record?.epoch, 1);
    const token = await b.acquire(state, recordOf(2, 'b'), never);
    assert.ok(token, 'and nothing has changed');
    for (const lease of [a, b]) {
      assert.equal(await lease.renew(old, recordOf(8), never), false);
      assert.equal(await lease.release(old, recordOf(9), never), false);
    }
    const now = await a.read(never);
    assert.deepEqual([now.record, now.isHeld], [recordOf(2, 'b'), true]);
    assert.equal(await b.renew(token, recordOf(2, 'b'), never), true);
  });
}

function amendTests({ openStore, without }: Conformance): void {
  test('the record of a free lease is amended by who saw it last, and the lease stays free', async (t) => {
    const lease = (await openStore(t)).lease();
    const empty = await lease.read(never);
    assert.equal(await lease.amend(empty, recordOf(1, 'a', { holder: null }), never), true);
    const first = await lease.read(never);
    assert.deepEqual([first.record?.holder, first.isHeld], [null, false]);
    assert.equal(await lease.amend(empty, recordOf(7), never), false);
    assert.equal(await lease.amend(first, recordOf(2), never), true);
    assert.equal(await lease.acquire(first, recordOf(3), never), undefined);
    assert.ok(await lease.acquire(await lease.read(never), recordOf(3), never));
  });

  test('the record of a held lease is not amended', async (t) => {
    const lease = (await openStore(t)).lease();
    await take(lease, recordOf(1));
    assert.equal(await lease.amend(await lease.read(never), recordOf(2), never), false);
    assert.equal((await lease.read(never)).record?.epoch, 1);
  });

  test('of an amendment and an acquire of the same state one wins', {
    skip: without.contention,
  }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const [seenByA, seenByB] = [await a.read(never), await b.read(never)];
    const [amended, token] = await Promise.all([
      a.amend(seenByA, recordOf(1, 'a'), never),
      b.acquire(seenByB, recordOf(1, 'b'), never),
    ]);
    assert.equal(amended, token === undefined);
    assert.equal((await a.read(never)).record?.holder?.node, amended ? 'a' : 'b');
  });
}

function sharingTests({ openStore, without }: Conformance): void {
  const skip = without.sharing ?? false;

  test('a token that is handed to another client renews and releases there', { skip }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const token = await take(a, recordOf(1, 'a'));
    const handed = JSON.parse(JSON.stringify(token)) as LeaseToken;
    assert.equal(await b.renew(handed, recordOf(2, 'b'), never), true);
    assert.deepEqual((await a.read(never)).record, recordOf(2, 'b'));
    assert.equal(await a.renew(token, recordOf(2, 'a'), never), true);
    assert.equal(await b.release(handed, recordOf(2, 'b'), never), true);
    assert.equal(await a.renew(token, recordOf(3, 'a'), never), false);
    assert.deepEqual((await a.read(never)).record, recordOf(2, 'b'));
  });

  test('a call that comes late does not put an older record back', {
    skip: without.order ?? skip,
  }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const at = (epoch: number, revision?: number) => ({ ...recordOf(epoch), revision });
    const token = await take(a, at(7));
    assert.equal(await a.renew(token, at(7, 9), never), true);
    assert.equal(await a.renew(token, at(7, 10), never), true);
    for (const late of [at(7), at(7, 9), at(6, 11)]) {
      assert.equal(await a.renew(token, late, never), false);
      assert.equal(await a.release(token, late, never), false);
    }
    assert.deepEqual((await b.read(never)).record, at(7, 10));
    assert.equal(await b.renew(token, at(8), never), true, 'a new epoch begins its own count');
    assert.equal(await a.release(token, at(7, 11), never), false);
  });

  test('a token that nobody was given proves nothing', { skip }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    await take(a, recordOf(1));
    const other = await take(store.lease('other'), recordOf(1));
    for (const token of [other, 'x', ''] as LeaseToken[]) {
      assert.equal(await b.renew(token, recordOf(9), never), false);
      assert.equal(await b.release(token, recordOf(9), never), false);
    }
    assert.deepEqual((await a.read(never)).record, recordOf(1));
  });

  test('two leases in one store do not disturb each other', { skip }, async (t) => {
    const store = await openStore(t);
    const [a, other] = [store.lease(), store.lease('other')];
    await take(a, recordOf(1, 'a'));
    const before = await a.read(never);
    assert.equal((await other.read(never)).record, undefined);
    const token = await take(other, recordOf(5, 'b'));
    assert.equal(await other.release(token, recordOf(5, 'b'), never), true);
    assert.deepEqual(await a.read(never), before);
    assert.deepEqual((await other.read(never)).record, recordOf(5, 'b'));
  });
}

function changedTests({ openStore, ttlMs, slackMs, without }: Conformance): void {
  test('a write, a release and a state that is old already end the wait for a change', {
    skip: without.sharing,
  }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    const empty = await b.read(never);
    const taken = b.changed(empty, never);
    const token = await take(a, recordOf(1));
    await taken;
    await b.changed(empty, never);
    const held = await b.read(never);
    assert.equal(held.isHeld, true);
    const beganMs = monotonicMs();
    const lateness = latenessMeter();
    const freed = b.changed(held, never);
    await a.release(token, recordOf(1), never);
    await freed;
    // Sooner than the TTL would end it.
    assert.ok(monotonicMs() - beganMs < ttlMs / 2 + lateness());
    assert.equal((await b.read(never)).isHeld, false);
  });

  test('the wait for a change ends within the TTL, and a loop over it does not spin', async (t) => {
    const lease = (await openStore(t)).lease();
    const seen = await lease.read(never);
    const lateness = latenessMeter();
    const beganMs = monotonicMs();
    let rounds = 0;
    while (monotonicMs() - beganMs < ttlMs) {
      const roundMs = monotonicMs();
      await lease.changed(seen, never);
      assert.ok(monotonicMs() - roundMs <= ttlMs + slackMs + lateness());
      rounds += 1;
    }
    assert.ok(rounds <= 100, `${rounds} rounds in one TTL in which nothing changed`);
  });

  test('the wait for a change ends when its signal aborts, also when that was before', async (t) => {
    const lease = (await openStore(t)).lease();
    const seen = await lease.read(never);
    const controller = new AbortController();
    const waiting = lease.changed(seen, controller.signal);
    const beganMs = monotonicMs();
    const lateness = latenessMeter();
    controller.abort();
    await waiting;
    await lease.changed(seen, controller.signal);
    assert.ok(monotonicMs() - beganMs < ttlMs / 4 + lateness());
  });
}
