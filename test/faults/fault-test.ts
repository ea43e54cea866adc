import { test } from 'node:test';
import { skipWithout, type TestToolName } from '../tools.ts';
import type { LeaseKind } from './lease-store.ts';
import { leaseKinds, seedFor } from './plan.ts';
import { runFaults } from './run-faults.ts';

/** Of all leases together, in the default suite. */
const minutesDefault = 2;
const tools: Readonly<Record<LeaseKind, readonly TestToolName[]>> = {
  file: [],
  etcd: ['etcd-server'],
  redis: ['redis-server'],
};

/** A run of faults with another seed each time: `SKEIN_TEST_FAULT_SEED` and `SKEIN_TEST_FAULT_MINUTES` set it and its length. */
export function testFaults(lease: LeaseKind): void {
  const given = process.env.SKEIN_TEST_FAULT_SEED;
  const seed = seedFor(lease, given === undefined ? Math.floor(Math.random() * 1_000_000) : Number(given));
  const minutes = Number(process.env.SKEIN_TEST_FAULT_MINUTES ?? minutesDefault) / leaseKinds.length;
  const skip = [...tools[lease], 'python3' as const, 'sqlite3' as const]
    .map(skipWithout)
    .find((why) => why !== false);
  test(
    `nothing that was acknowledged is lost, and nobody reads backwards, whatever fails: ${lease} lease`,
    {
      skip: skip ?? false,
      timeout: (minutes + 5) * 60_000,
    },
    (t) => runFaults(t, { seed, minutes }),
  );
}
