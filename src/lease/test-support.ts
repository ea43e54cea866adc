import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TestContext } from 'node:test';
import { SkeinError } from '../base/errors.ts';
import type { Lease, LeaseToken } from './lease.ts';
import type { LeaseHolder, LeaseRecord } from './lease-record.ts';

/** What some stores cannot do; the tests of it are skipped with the reason. */
export type LeaseFeature =
  | 'emptiness'
  | 'contention'
  | 'expiry'
  | 'sharing'
  | 'order'
  | 'outages'
  | 'garbage';

/** One store, or a corner of one that nobody else uses. */
export type LeaseStore = {
  /** Another client of the store. Two names are two leases, which have nothing to do with each other. */
  lease(name?: string): Lease;
  /** Writes `text` where the record of the lease without a name lies. */
  putGarbage?(text: string): Promise<void>;
  /** From here on nobody answers at the store's address, until `startStore`. */
  stopStore?(): Promise<void>;
  startStore?(options?: { emptied: boolean }): Promise<void>;
  /** From here on the store takes connections and never answers, until `thawStore`. */
  freezeStore?(): Promise<void>;
  thawStore?(): Promise<void>;
};

export type LeaseConformanceOptions = {
  /** Whatever it starts ends after the test. A test that `stopsStore` needs a store of its own; others may share one. */
  open(t: TestContext, ttlMs: number, use: { stopsStore: boolean }): Promise<LeaseStore>;
  /** The shortest that the store supports well. */
  ttlMs: number;
  /** How much later than its TTL a hold may end; 300 ms unless given. */
  slackMs?: number;
  /** How much later than its TTL an announcement may vanish; as `slackMs` unless given. */
  announcementSlackMs?: number;
  /** Features that the store lacks, each with the reason. */
  without?: Partial<Record<LeaseFeature, string>>;
  /** The reason why nothing can be tested here. */
  skip?: string | false;
};

export type Conformance = Required<Omit<LeaseConformanceOptions, 'skip'>> & {
  /** A store with everything that its clients keep open closed after the test. */
  openStore(t: TestContext, use?: { stopsStore: boolean }): Promise<LeaseStore>;
};

/** For calls that nobody gives up. */
export const never: AbortSignal = new AbortController().signal;

export function recordOf(epoch: number, node = 'a', more: Partial<LeaseRecord> = {}): LeaseRecord {
  const holder: LeaseHolder = { node, region: 'ams', url: `http://${node}.test:4900` };
  return { epoch, holder, positions: {}, safe: { epoch: 0, positions: {} }, standby: null, ...more };
}

/** Takes a lease that must be free. */
export async function take(lease: Lease, record: LeaseRecord): Promise<LeaseToken> {
  const token = await lease.acquire(await lease.read(never), record, never);
  assert.ok(token !== undefined, 'a free lease is taken');
  return token;
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SkeinError && error.code === code;
}

/** How late this process ran meanwhile, ms: no store is to blame for that. */
export function latenessMeter(): () => number {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  return () => {
    histogram.disable();
    return histogram.max / 1e6;
  };
}
