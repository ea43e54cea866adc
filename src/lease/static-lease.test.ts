import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseToken } from './lease.ts';
import { leaseConformance } from './lease-conformance.ts';
import { StaticLease } from './static-lease.ts';
import { never, recordOf } from './test-support.ts';

const ttlMs = 500;
const primary = { node: '', region: '', url: 'http://a.test:4900' };

leaseConformance('static', {
  ttlMs,
  open: async () => ({ lease: () => new StaticLease({ isPrimary: true, primary, ttlMs }) }),
  without: {
    emptiness: 'a static lease has a record from the beginning',
    contention: 'one node alone may take a static lease',
    expiry: 'a static lease does not end',
    order: 'the one node calls in order',
    sharing: 'a static lease is known to its node alone',
    outages: 'there is no store that could fail',
    garbage: 'there is no store that could hold anything else',
  },
});

test('for a replica a static lease is held by the primary, and cannot be taken', async () => {
  const lease = new StaticLease({ isPrimary: false, primary, ttlMs });
  const seen = await lease.read(never);
  assert.equal(seen.isHeld, true);
  assert.deepEqual([seen.record?.epoch, seen.record?.holder], [1, primary]);
  assert.equal(await lease.acquire(seen, recordOf(2), never), undefined);
  assert.equal(await lease.amend(seen, recordOf(2), never), false);
  assert.equal(await lease.renew('' as LeaseToken, recordOf(2), never), false);
  assert.deepEqual(await lease.read(never), seen);
});
