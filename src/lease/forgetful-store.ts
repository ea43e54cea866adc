import { bootClockMs, monotonicMs } from '../base/clock.ts';
import type { Lease } from './lease.ts';

/** Of the TTL: longer than a holder's renewals need to fill an empty store again. */
const freshShare = 0.5;
/** Longer than any hold that the store forgot can still be good for. */
const pastShare = 1.1;

/** What is known of a store that has no record, or an older one than this node has seen: it is new, or it forgot. */
export class ForgetfulStore {
  #sinceMs: number | undefined;
  /** Until when nobody can have taken this node's last hold from it, on the boot clock. */
  #heldUntilMs = 0;

  /** The store has what this node has seen. */
  remembers(): void {
    this.#sinceMs = undefined;
  }

  /** The hold was lost before its end: the store knows nothing of it any more. */
  lost(validUntilMs: number): void {
    this.#heldUntilMs = validUntilMs;
  }

  /**
   * Whether this node, which has seen `epoch`, may write what the store does not know. What it forgot may be a hold that is
   * good for another TTL, so a node with a past waits for that, unless the hold is its own; and a node with less of a past
   * leaves the lease to those who have more. Throws `LEASE_UNREACHABLE`.
   */
  async mayBeReminded(lease: Lease, epoch: number, signal: AbortSignal): Promise<boolean> {
    this.#sinceMs ??= monotonicMs();
    if (bootClockMs() < this.#heldUntilMs) return true;
    const waitedMs = monotonicMs() - this.#sinceMs;
    if (waitedMs < lease.ttlMs * (epoch > 0 ? pastShare : freshShare)) return false;
    const told = await lease.announcements(signal);
    return told.every((other) => other.epoch <= epoch);
  }
}
