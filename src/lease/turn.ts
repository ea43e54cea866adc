import { compareAdvance, obstacleTo } from './eligibility.ts';
import type { Lease, LeaseState } from './lease.ts';
import type { Announcement, LeaseRecord } from './lease-record.ts';

/** What a candidate needs to know of itself to let others go first. */
type Self = { readonly node: string; readonly epoch: number; readonly positions: Announcement['positions'] };

/** Whose turn it is among several that may take a free lease: theirs who have more, once for each time that it is free. */
export class Turn {
  /** The version of a free lease at which others were let go first. */
  #givenAt: string | undefined;

  /** Whether another one, free to lead and with more, is to go first now. Throws `LEASE_UNREACHABLE`. */
  async isAnothers(
    lease: Lease,
    state: LeaseState,
    self: Self,
    base: LeaseRecord | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (this.#givenAt === state.version) return false;
    this.#givenAt = state.version;
    const others = await lease.announcements(signal);
    return others.some(
      (other) =>
        other.node !== self.node &&
        !other.isConnected &&
        obstacleTo({ ...other, candidate: true }, base) === undefined &&
        compareAdvance(other, self) > 0,
    );
  }
}
