import type { Announcement, LeaseRecord } from './lease-record.ts';

/** What a read found. */
export type LeaseState = {
  /** Undefined when nothing was ever written, or when the store was emptied. */
  readonly record: LeaseRecord | undefined;
  /** Whether somebody's time is not over yet. */
  readonly isHeld: boolean;
  /** Changes with every write; only for comparison. */
  readonly version: string;
};

/** Proves a hold. Whoever has it may renew, also another node that it was handed to. Never logged. */
export type LeaseToken = string & { readonly leaseToken: unique symbol };

/**
 * Who may write: one record in a store that all candidates reach, and a hold on it that ends by itself when it is not
 * renewed within the TTL. One file for each kind of store; `lease-conformance.ts` says what each must do.
 *
 * All but `close` throw `LEASE_UNREACHABLE` when the store does not answer within `leaseTimeoutMs(ttlMs)`, when it answers
 * with an error, and when the signal aborts; `LEASE_RECORD_INVALID` when something else lies there. A call that threw may
 * still have taken effect.
 */
export type Lease = {
  /** A hold ends this long after the last call that took or renewed it *reached the store*: never earlier than this after the call began. */
  readonly ttlMs: number;
  read(signal: AbortSignal): Promise<LeaseState>;
  /** Takes the lease and writes the record; undefined when it is held, or was written since `seen`. */
  acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined>;
  /**
   * Writes the record and begins the TTL anew. False, and nothing has changed, when the hold is over, or when the store has a
   * newer record by epoch and revision: the call has come late.
   */
  renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean>;
  /** Writes the record and ends the hold at once. False, and nothing has changed, when the hold is over. */
  release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean>;
  /** Writes the record of a lease that nobody holds; false when it is held, or was written since `seen`. */
  amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean>;
  /**
   * Resolves as soon as a read may give another state than `seen`: a write, or the end of a hold. It may resolve too early,
   * and does so within the TTL, when the store fails, and when the signal aborts. Never rejects.
   */
  changed(seen: LeaseState, signal: AbortSignal): Promise<void>;
  /** Tells the other candidates of this node, for `announcementTtlMs(ttlMs)`. */
  announce(told: Announcement, signal: AbortSignal): Promise<void>;
  /** What candidates, this one among them, have told within `announcementTtlMs(ttlMs)`. */
  announcements(signal: AbortSignal): Promise<Announcement[]>;
  /** Lets go of connections and timers; a hold is not given up. */
  close(): Promise<void>;
};

/** Time that a store has for one answer, ms: a renewal can fail twice and still succeed before the hold ends. */
export function leaseTimeoutMs(ttlMs: number): number {
  return Math.min(5_000, ttlMs / 4);
}

export function announcementTtlMs(ttlMs: number): number {
  return 3 * ttlMs;
}
