import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { bootClockMs } from '../base/clock.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { FileLease } from './file-lease.ts';
import { Handover } from './handover.ts';
import type { LeaseToken } from './lease.ts';
import type { LeaseRecord } from './lease-record.ts';

const ttlMs = 1_000;
const never = new AbortController().signal;

function recordOf(epoch: number, node: string): LeaseRecord {
  const holder = { node, region: 'x', url: `http://${node}:1` };
  return { epoch, holder, positions: {}, safe: { epoch: 0, positions: {} }, standby: node };
}

/** A handover of epoch 1's hold to `two`, which has been told. */
async function begin(t: TestContext) {
  const lease = new FileLease({ directory: temporaryDirectory(t), ttlMs });
  t.after(() => lease.close());
  const token = await lease.acquire(await lease.read(never), recordOf(1, 'one'), never);
  assert.ok(token);
  const done: string[] = [];
  const handover = new Handover(2, 'two', () => done.push('done'));
  const settled = handover.settle(lease, bootClockMs() + ttlMs, never);
  return { lease, token: token as LeaseToken, handover, settled, done };
}

test('a handover is settled by the record of the target', async (t) => {
  const { lease, token, handover, settled, done } = await begin(t);
  await lease.renew(token, recordOf(2, 'two'), never);
  assert.equal((await settled)?.holder?.node, 'two');
  assert.equal(await handover.isTaken, true);
  assert.deepEqual(done, ['done']);
});

test('a record of anybody else, under whatever epoch, shows nothing of what the target has', async (t) => {
  for (const [epoch, node] of [
    [2, 'three'],
    [3, 'two'],
  ] as const) {
    const { lease, token, handover, settled, done } = await begin(t);
    await lease.renew(token, recordOf(epoch, node), never);
    assert.equal(await settled, undefined);
    assert.equal(await handover.isTaken, false);
    assert.deepEqual(done, []);
  }
});
