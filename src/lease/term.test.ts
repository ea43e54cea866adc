import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { bootClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { FileLease } from './file-lease.ts';
import type { Lease } from './lease.ts';
import type { LeaseRecord } from './lease-record.ts';
import { Term } from './term.ts';

const ttlMs = 1_000;
const never = new AbortController().signal;

function recordOf(epoch: number, node: string): LeaseRecord {
  const holder = { node, region: 'x', url: `http://${node}:1` };
  return { epoch, holder, positions: {}, safe: { epoch: 0, positions: {} }, standby: node };
}

/** A term on a real lease, whose store the test can make fail. */
async function begin(
  t: TestContext,
  letsGo: (signal: AbortSignal) => Promise<unknown> = async () => undefined,
) {
  const directory = temporaryDirectory(t);
  const lease = new FileLease({ directory, ttlMs });
  const other = new FileLease({ directory, ttlMs });
  t.after(async () => {
    await lease.close();
    await other.close();
  });
  const store = { isDown: false };
  const failing: Lease = {
    ttlMs,
    read: (signal) => lease.read(signal),
    acquire: (seen, record, signal) => lease.acquire(seen, record, signal),
    renew: async (token, record, signal) => {
      if (store.isDown) throw new SkeinError('LEASE_UNREACHABLE', 'The store is down.');
      return lease.renew(token, record, signal);
    },
    release: (token, record, signal) => lease.release(token, record, signal),
    amend: (seen, record, signal) => lease.amend(seen, record, signal),
    changed: (seen, signal) => lease.changed(seen, signal),
    announce: (told, signal) => lease.announce(told, signal),
    announcements: (signal) => lease.announcements(signal),
    close: () => lease.close(),
  };
  const beganMs = bootClockMs();
  const token = await lease.acquire(await lease.read(never), recordOf(1, 'one'), never);
  assert.ok(token);
  const told: string[] = [];
  const fenced = Promise.withResolvers<boolean>();
  const unfenced = Promise.withResolvers<void>();
  const term: Term = new Term(failing, token, 1, beganMs, {
    record: () => recordOf(1, 'one'),
    written: () => told.push('written'),
    fence: async (signal) => {
      told.push('fence');
      fenced.resolve(term.isValid);
      await letsGo(signal);
    },
    unfence: async () => {
      told.push('unfence');
      unfenced.resolve();
    },
    notice: (message) => told.push(message),
  });
  return { term, lease, other, store, told, token, fenced: fenced.promise, unfenced: unfenced.promise };
}

test('a hold is renewed for as long as the term runs', async (t) => {
  const { term, other, told } = await begin(t);
  const running = term.run();
  const untilMs = bootClockMs() + 2 * ttlMs;
  while (bootClockMs() < untilMs) {
    const state = await other.read(never);
    assert.ok(state.isHeld && term.isValid);
    await other.changed(state, AbortSignal.timeout(100));
  }
  await term.release({ ...recordOf(1, 'one'), holder: null, standby: null }, never);
  assert.equal(await running, 'over');
  assert.equal((await other.read(never)).isHeld, false);
  assert.ok(!told.includes('fence'));
});

test('the app is fenced while the hold is still good, and the term ends before the hold does', async (t) => {
  const { term, other, store, fenced } = await begin(t);
  store.isDown = true;
  const running = term.run();
  assert.equal(await fenced, true, 'still valid when the fence begins');
  for (let state = await other.read(never); state.isHeld; state = await other.read(never))
    await other.changed(state, AbortSignal.timeout(1));
  assert.equal(term.isValid, false, 'by the time that another could take it');
  assert.equal(await running, 'lost');
});

test('a hold that is renewed after all is unfenced', async (t) => {
  const { term, store, told, fenced, unfenced } = await begin(t);
  store.isDown = true;
  const running = term.run();
  await fenced;
  store.isDown = false;
  await unfenced;
  assert.ok(term.isValid);
  assert.ok(told.indexOf('unfence') > told.indexOf('fence'));
  term.lose();
  assert.equal(await running, 'lost');
});

test("a hold that is handed over is the other's alone: nothing is written by this node any more", async (t) => {
  const { term, other, token, told } = await begin(t);
  const running = term.run();
  let written = 0;
  const isDone = await term.handOver((given) => {
    assert.equal(given, token);
    written = told.length;
  });
  assert.equal(isDone, true);
  // Asked for before it was over, and due after.
  term.write();
  assert.equal(await running, 'over');
  assert.equal(await other.renew(token, recordOf(2, 'two'), never), true);
  assert.equal(told.length, written);
  assert.equal((await other.read(never)).record?.epoch, 2);
  assert.equal(await term.handOver(() => assert.fail('it is over')), false);
});

test('a write of the record that is under way is waited for before the hold is handed over', async (t) => {
  const { term, other } = await begin(t);
  const running = term.run();
  term.write();
  await new Promise(setImmediate);
  assert.equal(await term.handOver(() => undefined), true);
  await running;
  assert.equal((await other.read(never)).record?.epoch, 1);
});

test('a writer that does not let go of what is to be fenced neither keeps the hold from being renewed nor stays the reason', async (t) => {
  let writers = 1;
  const { term, store, told, fenced, unfenced } = await begin(t, async (signal) => {
    if (writers > 0) await once(signal, 'abort');
  });
  store.isDown = true;
  const running = term.run();
  await fenced;
  store.isDown = false;
  await unfenced;
  assert.ok(term.isValid);
  const before = told.filter((line) => line === 'written').length;
  const untilMs = bootClockMs() + ttlMs;
  while (bootClockMs() < untilMs) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(told.filter((line) => line === 'written').length > before);
  assert.equal(told.filter((line) => line === 'fence').length, 1);
  writers = 0;
  term.lose();
  assert.equal(await running, 'lost');
});

test('what is lost is fenced, however it came to be lost', async (t) => {
  const { term, fenced } = await begin(t);
  const running = term.run();
  term.lose();
  assert.equal(await fenced, false, 'not valid any more');
  assert.equal(await running, 'lost');
});

test('a hold of which nobody could be told goes on', async (t) => {
  const { term, told } = await begin(t);
  const running = term.run();
  const gone = new Error('the link is gone');
  await assert.rejects(
    term.handOver(() => {
      throw gone;
    }),
    gone,
  );
  assert.ok(term.isValid);
  const before = told.length;
  term.write();
  while (told.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
  term.lose();
  await running;
});

test('a hold that another has by now is lost at the next renewal', async (t) => {
  const { term, lease, other, token } = await begin(t);
  await lease.release(token, recordOf(1, 'one'), never);
  await other.acquire(await other.read(never), recordOf(2, 'two'), never);
  assert.equal(await term.run(), 'lost');
  assert.equal((await other.read(never)).record?.holder?.node, 'two');
});
