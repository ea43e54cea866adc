import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { CapturedBatch } from '../database/capture.ts';
import { installFrom, recordBytes, TestNode } from '../database/test-support.ts';
import { HaltLocks, type HaltLocksParts } from './halt-locks.ts';

const never = new AbortController().signal;
const name = 'a.db';

async function primaryOf(t: TestContext, change: Partial<HaltLocksParts> = {}) {
  const node = new TestNode(t);
  const app = node.app(t);
  app.exec('PRAGMA busy_timeout = 0');
  const primary = await node.primary(t);
  await primary.capture();
  const warnings: string[] = [];
  const locks = new HaltLocks({
    database: async () => primary,
    mayWrite: () => true,
    hidden: () => node.directory.hidden,
    warn: (message) => warnings.push(message),
    ...change,
  });
  const write = () => app.exec("INSERT INTO t(v) VALUES ('here')");
  return { primary, locks, write, warnings };
}

async function writable(write: () => void): Promise<void> {
  for (;;) {
    try {
      return write();
    } catch (error) {
      assert.match(String(error), /locked/);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** What a replica's program wrote under a lock. */
async function lentBatch(t: TestContext, primary: Awaited<ReturnType<typeof primaryOf>>['primary']) {
  const there = new TestNode(t);
  const replica = await installFrom(t, primary, there);
  const lent = await replica.lend(replica.position);
  there.app(t).exec('INSERT INTO t(v) VALUES (randomblob(300000))');
  const batch = await lent.takeBack(1_000);
  assert.ok(batch !== 'busy' && batch !== 'nothing');
  return recordBytes(batch satisfies CapturedBatch);
}

test('a second holder waits until the first one has let go, also while that takes its time', async (t) => {
  const { primary, locks, write } = await primaryOf(t);
  assert.equal((await locks.acquire(name, '1', never)).isNew, true);
  assert.equal((await locks.acquire(name, '1', never)).isNew, false);
  assert.throws(write, /locked/);
  const busy = primary.pin();
  const released = locks.release(name, '1');
  const second = await locks.acquire(name, '2', never);
  assert.equal(second.isNew, true);
  await released;
  (await busy).release();
  assert.throws(write, /locked/);
  await locks.release(name, '2');
  write();
});

test('an id whose lock was given back halts nothing any more, whatever comes late', async (t) => {
  const { locks, write } = await primaryOf(t);
  await locks.acquire(name, '1', never);
  const [renewed] = await Promise.allSettled([locks.acquire(name, '1', never), locks.release(name, '1')]);
  assert.equal(renewed.status, 'rejected', 'it was overtaken');
  await assert.rejects(locks.acquire(name, '1', never), { code: 'LEASE_LOST' });
  write();
  // The answer to the first request was lost, and its end overtook it.
  await locks.release(name, '2');
  await assert.rejects(locks.acquire(name, '2', never), { code: 'LEASE_LOST' });
  const [taken] = await Promise.allSettled([locks.acquire(name, '3', never), locks.release(name, '3')]);
  assert.equal(taken.status, 'rejected');
  await writable(write);
});

test('a lock whose time is over is not renewed as if nothing had been', async (t) => {
  const { locks, write, warnings } = await primaryOf(t, { ttlMs: 30 });
  await locks.acquire(name, '1', never);
  // An answer to nobody keeps no process: the lock's timer does not.
  const awake = setInterval(() => undefined, 1_000);
  await writable(write);
  clearInterval(awake);
  await assert.rejects(locks.acquire(name, '1', never), { code: 'LEASE_LOST' });
  assert.match(warnings.join(), /not given back in time/);
});

test('a lock is over after its longest time, however often it is renewed', async (t) => {
  const { locks, write, warnings } = await primaryOf(t, { ttlMs: 60_000, heldMaxMs: 300 });
  await locks.acquire(name, '1', never);
  let renewed = 0;
  const renewing = setInterval(() => {
    locks.acquire(name, '1', never).then(
      () => {
        renewed += 1;
      },
      () => undefined,
    );
  }, 20);
  renewing.unref();
  await writable(write);
  clearInterval(renewing);
  assert.match(warnings.join(), /held for 300ms, the longest there is/);
  assert.ok(renewed > 0);
  await assert.rejects(locks.acquire(name, '1', never), { code: 'LEASE_LOST', message: /longest/ });
});

test('what is sent while the lead ends is not confirmed', async (t) => {
  let leads = true;
  const { primary, locks } = await primaryOf(t, { mayWrite: () => leads });
  const before = primary.position;
  const bytes = await lentBatch(t, primary);
  await locks.acquire(name, '1', never);
  // In pieces, and between two of them the node is fenced.
  async function* overtaken(end: () => unknown) {
    for (let at = 0; at < bytes.length; at += 65_536) {
      if (at > 0) await end();
      yield bytes.subarray(at, at + 65_536);
    }
  }
  await assert.rejects(primary.take(overtaken(() => primary.fence(200))), { code: 'LEASE_LOST' });
  assert.deepEqual(primary.position, before, 'and was not written');
  primary.unfence();
  leads = false;
  await assert.rejects(locks.take(name, '1', Readable.from([bytes])), { code: 'LEASE_LOST' });
  assert.deepEqual(primary.position, before);
  leads = true;
  let asked = 0;
  const isOverAtLast = () => {
    asked += 1;
    return asked < 3;
  };
  const position = await locks.take(name, '1', Readable.from([bytes]));
  assert.deepEqual([position.txid, position], [before.txid + 1, primary.position]);
  const more = await lentBatch(t, primary);
  const late = primary.take(Readable.from([more]), isOverAtLast);
  await assert.rejects(late, { code: 'LEASE_LOST' }, 'after it was written, too');
  await locks.release(name, '1');
});
