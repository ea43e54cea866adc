import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import { type Lease, type LeaseState, type LeaseToken, leaseTimeoutMs } from './lease.ts';
import { type Conformance, hasCode, latenessMeter, never, recordOf, take } from './test-support.ts';

const recoveryMs = 10_000;

/** Every call that can fail, one after the other, each to be given its own start. */
function callsOf(
  lease: Lease,
  empty: LeaseState,
  token: LeaseToken,
  signal: AbortSignal,
): (() => Promise<unknown>)[] {
  const told = { node: 'a', region: 'ams', url: '', epoch: 1, positions: {}, isConnected: false };
  return [
    () => lease.read(signal),
    () => lease.renew(token, recordOf(1), signal),
    () => lease.acquire(empty, recordOf(2), signal),
    () => lease.amend(empty, recordOf(2), signal),
    () => lease.announce(told, signal),
    () => lease.announcements(signal),
    () => lease.release(token, recordOf(1), signal),
  ];
}

/** Reads until the store answers: the first calls after an outage may still meet old connections. */
async function firstAnswer(lease: Lease): Promise<LeaseState> {
  const deadlineMs = monotonicMs() + recoveryMs;
  for (;;) {
    try {
      return await lease.read(never);
    } catch (error) {
      if (!hasCode('LEASE_UNREACHABLE')(error) || monotonicMs() > deadlineMs) throw error;
      await sleep(20);
    }
  }
}

/** Reads until the store answers no more: a process that is told to stop may still do so for a moment. */
async function lastAnswer(lease: Lease): Promise<void> {
  const deadlineMs = monotonicMs() + recoveryMs;
  for (;;) {
    try {
      await lease.read(never);
    } catch {
      return;
    }
    assert.ok(monotonicMs() < deadlineMs, 'the store still answers');
    await sleep(20);
  }
}

/** The part of `leaseConformance` that is about a store that fails. */
export function outageTests(conformance: Conformance): void {
  const { openStore, ttlMs, slackMs, without } = conformance;
  const skip = without.outages ?? false;

  test('a call whose signal has aborted rejects at once, and changes nothing', async (t) => {
    const lease = (await openStore(t)).lease();
    const empty = await lease.read(never);
    const token = await take(lease, recordOf(1));
    const seen = await lease.read(never);
    const lateness = latenessMeter();
    const beganMs = monotonicMs();
    for (const call of callsOf(lease, empty, token, AbortSignal.abort())) {
      await assert.rejects(call, hasCode('LEASE_UNREACHABLE'));
    }
    assert.ok(monotonicMs() - beganMs < leaseTimeoutMs(ttlMs) + lateness());
    assert.equal((await lease.read(never)).version, seen.version);
  });

  for (const kind of ['stopped', 'frozen'] as const) {
    test(`calls to a store that is ${kind} reject in time`, { skip }, async (t) => {
      const store = await openStore(t, { stopsStore: true });
      const [halt, resume] =
        kind === 'stopped' ? [store.stopStore, store.startStore] : [store.freezeStore, store.thawStore];
      if (halt === undefined || resume === undefined) return t.skip(`this store cannot be ${kind}`);
      const lease = store.lease();
      const empty = await lease.read(never);
      const token = await take(lease, recordOf(1));
      const seen = await lease.read(never);
      await halt();
      await lastAnswer(lease);
      for (const call of callsOf(lease, empty, token, never)) {
        const beganMs = monotonicMs();
        const lateness = latenessMeter();
        await assert.rejects(call, hasCode('LEASE_UNREACHABLE'));
        const tookMs = monotonicMs() - beganMs;
        assert.ok(tookMs <= leaseTimeoutMs(ttlMs) + slackMs + lateness(), `it took ${tookMs} ms: ${call}`);
      }
      const controller = new AbortController();
      const reading = assert.rejects(lease.read(controller.signal), hasCode('LEASE_UNREACHABLE'));
      controller.abort();
      await reading;
      const beganMs = monotonicMs();
      const lateness = latenessMeter();
      await lease.changed(seen, never);
      assert.ok(monotonicMs() - beganMs <= ttlMs + slackMs + lateness());
      await resume();
      // A call that threw may have taken effect, so the epoch is 1 or 2.
      assert.ok((await firstAnswer(lease)).record);
      return undefined;
    });
  }

  test('a store that was restarted with what it had keeps the record', { skip }, async (t) => {
    const store = await openStore(t, { stopsStore: true });
    if (!store.stopStore || !store.startStore) return t.skip('this store cannot be stopped');
    const lease = store.lease();
    const token = await take(lease, recordOf(1));
    assert.equal(await lease.release(token, recordOf(1), never), true);
    await store.stopStore();
    await store.startStore({ emptied: false });
    const state = await firstAnswer(lease);
    assert.deepEqual([state.record, state.isHeld], [recordOf(1), false]);
    assert.ok(await lease.acquire(state, recordOf(2), never));
    return undefined;
  });

  emptyingTests(conformance);
}

function emptyingTests({ openStore, without }: Conformance): void {
  test('a store that was restarted empty has no record and no holder', {
    skip: without.outages,
  }, async (t) => {
    const store = await openStore(t, { stopsStore: true });
    if (!store.stopStore || !store.startStore) return t.skip('this store cannot be stopped');
    const lease = store.lease();
    const token = await take(lease, recordOf(1));
    const held = await lease.read(never);
    await store.stopStore();
    await store.startStore({ emptied: true });
    const state = await firstAnswer(lease);
    assert.deepEqual([state.record, state.isHeld], [undefined, false]);
    assert.notEqual(state.version, held.version);
    assert.equal(await lease.renew(token, recordOf(1), never), false);
    assert.equal(await lease.release(token, recordOf(1), never), false);
    assert.equal(await lease.acquire({ ...held, isHeld: false }, recordOf(2), never), undefined);
    assert.deepEqual(await lease.announcements(never), []);
    assert.ok(await lease.acquire(await lease.read(never), recordOf(2), never));
    return undefined;
  });

  test('something else in the place of the record is refused, and never taken for a free lease', {
    skip: without.garbage,
  }, async (t) => {
    const store = await openStore(t);
    if (!store.putGarbage) return t.skip('nothing else can lie there');
    const lease = store.lease();
    for (const text of ['hello', '{"epoch":"1"}', '']) {
      await store.putGarbage(text);
      await assert.rejects(lease.read(never), hasCode('LEASE_RECORD_INVALID'));
    }
    return undefined;
  });
}
