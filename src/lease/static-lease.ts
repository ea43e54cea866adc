import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { announcementTtlMs, type Lease, type LeaseState, type LeaseToken } from './lease.ts';
import type { Announcement, LeaseHolder, LeaseRecord } from './lease-record.ts';

export type StaticLeaseOptions = {
  /** Whether this node is the one. */
  readonly isPrimary: boolean;
  /** A replica knows the URL only; the name and the region are '' there. */
  readonly primary: LeaseHolder;
  readonly ttlMs: number;
};

/**
 * A lease without a store, for one primary that never changes: free for that one until it takes it, without an end then, and
 * always held for all others. Nothing can fail, and nobody hears announcements but who made them.
 */
export class StaticLease implements Lease {
  readonly ttlMs: number;
  readonly #isPrimary: boolean;
  readonly #told = new Map<string, { told: Announcement; untilMs: number }>();
  #record: LeaseRecord;
  #token: LeaseToken | undefined;
  #writes = 0;

  constructor({ isPrimary, primary, ttlMs }: StaticLeaseOptions) {
    this.ttlMs = ttlMs;
    this.#isPrimary = isPrimary;
    const safe = { epoch: 0, positions: {} };
    // Free for the one, and never written so far; for the others there is nobody else.
    const [epoch, holder] = isPrimary ? [0, null] : [1, primary];
    this.#record = { epoch, holder, positions: {}, safe, standby: null };
  }

  async read(signal: AbortSignal): Promise<LeaseState> {
    refuseAborted(signal);
    return this.#state();
  }

  async acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined> {
    if (!(await this.amend(seen, record, signal))) return undefined;
    this.#token = `static-${this.#writes}` as LeaseToken;
    return this.#token;
  }

  async renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    refuseAborted(signal);
    if (token !== this.#token) return false;
    this.#write(record);
    return true;
  }

  async release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    if (!(await this.renew(token, record, signal))) return false;
    this.#token = undefined;
    return true;
  }

  async amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    refuseAborted(signal);
    const { isHeld, version } = this.#state();
    if (isHeld || version !== seen.version) return false;
    this.#write(record);
    return true;
  }

  async changed(seen: LeaseState, signal: AbortSignal): Promise<void> {
    if (this.#state().version === seen.version) await sleep(this.ttlMs, signal);
  }

  async announce(told: Announcement, signal: AbortSignal): Promise<void> {
    refuseAborted(signal);
    this.#told.set(told.node, { told, untilMs: monotonicMs() + announcementTtlMs(this.ttlMs) });
  }

  async announcements(signal: AbortSignal): Promise<Announcement[]> {
    refuseAborted(signal);
    const nowMs = monotonicMs();
    for (const [node, { untilMs }] of this.#told) if (untilMs < nowMs) this.#told.delete(node);
    return [...this.#told.values()].map(({ told }) => told);
  }

  async close(): Promise<void> {}

  #state(): LeaseState {
    const isHeld = !this.#isPrimary || this.#token !== undefined;
    return { record: this.#record, isHeld, version: String(this.#writes) };
  }

  #write(record: LeaseRecord): void {
    this.#record = structuredClone(record);
    this.#writes += 1;
  }
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new SkeinError('LEASE_UNREACHABLE', 'The wait for the lease was given up.');
}
