import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import { announcementTtlMs, type Lease } from './lease.ts';
import type { Announcement } from './lease-record.ts';
import { type Conformance, latenessMeter, never } from './test-support.ts';

const pollMs = 20;

function toldBy(node: string, epoch: number): Announcement {
  const positions = { 'app.db': '0000000000000003/8000000000000007' };
  return { node, region: 'ams', url: `http://${node}.test:4900`, epoch, positions, isConnected: true };
}

async function heardBy(lease: Lease): Promise<Announcement[]> {
  const told = await lease.announcements(never);
  return told.sort((one, other) => (one.node < other.node ? -1 : 1));
}

/** The part of `leaseConformance` that is about what candidates tell each other. */
export function announcementTests(conformance: Conformance): void {
  const { openStore, ttlMs, announcementSlackMs, without } = conformance;

  test('who announces hears itself, in its newest words', async (t) => {
    const lease = (await openStore(t)).lease();
    assert.deepEqual(await heardBy(lease), []);
    await lease.announce(toldBy('a', 1), never);
    await lease.announce(toldBy('a', 2), never);
    assert.deepEqual(await heardBy(lease), [toldBy('a', 2)]);
  });

  test('announcements reach the other clients of the same lease', { skip: without.sharing }, async (t) => {
    const store = await openStore(t);
    const [a, b] = [store.lease(), store.lease()];
    await a.announce(toldBy('a', 1), never);
    await b.announce(toldBy('b / ü %41', 1), never);
    await a.announce(toldBy('a', 2), never);
    for (const lease of [a, b, store.lease()]) {
      assert.deepEqual(await heardBy(lease), [toldBy('a', 2), toldBy('b / ü %41', 1)]);
    }
    assert.deepEqual(await heardBy(store.lease('other')), []);
  });

  test('an announcement changes nothing about the lease', async (t) => {
    const lease = (await openStore(t)).lease();
    const before = await lease.read(never);
    await lease.announce(toldBy('a', 1), never);
    assert.deepEqual(await lease.read(never), before);
  });

  test('an announcement that is not repeated vanishes', { skip: without.expiry }, async (t) => {
    const store = await openStore(t);
    const [a, b, listener] = [store.lease(), store.lease(), store.lease()];
    const lifeMs = announcementTtlMs(ttlMs);
    const lateness = latenessMeter();
    let beganMs = monotonicMs();
    await a.announce(toldBy('a', 1), never);
    await b.announce(toldBy('b', 1), never);
    await sleep(ttlMs / 2);
    beganMs = monotonicMs();
    await a.announce(toldBy('a', 2), never);
    const toldMs = monotonicMs();
    let heard = await heardBy(listener);
    assert.equal(heard.length, 2);
    const left: string[] = [];
    while (heard.length > 0) {
      await sleep(pollMs);
      const before = heard;
      heard = await heardBy(listener);
      for (const { node } of before) if (!heard.some((still) => still.node === node)) left.push(node);
      assert.ok(
        monotonicMs() - toldMs <= lifeMs + announcementSlackMs + lifeMs / 10 + lateness(),
        'it stays',
      );
    }
    assert.ok(monotonicMs() - beganMs >= lifeMs, `it vanished after ${monotonicMs() - beganMs} ms`);
    assert.deepEqual(left.sort(), ['a', 'b']);
  });
}
