import { bootClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { type Lease, leaseTimeoutMs } from './lease.ts';
import type { LeaseRecord } from './lease-record.ts';

const retryMs = 100;

/** A hold whose proof is on its way to another node, as the one sees it that has sent it. */
export class Handover {
  readonly #epoch: number;
  readonly #target: string;
  readonly #done: () => void;
  readonly #settled = Promise.withResolvers<boolean>();

  /** `epoch` is the one that the target's record will have; `done` is called when the store has that. */
  constructor(epoch: number, target: string, done: () => void) {
    this.#epoch = epoch;
    this.#target = target;
    this.#done = done;
  }

  /** Whether the target has taken the lease, once that is known. */
  get isTaken(): Promise<boolean> {
    return this.#settled.promise;
  }

  /**
   * Waits until the store has the target's record, which it returns, or until that cannot come any more: another has the lease,
   * or the hold has ended on the boot clock. Never rejects.
   */
  async settle(lease: Lease, untilMs: number, signal: AbortSignal): Promise<LeaseRecord | undefined> {
    while (bootClockMs() < untilMs && !signal.aborted) {
      try {
        const state = await lease.read(AbortSignal.timeout(leaseTimeoutMs(lease.ttlMs)));
        const { record } = state;
        if (record && record.epoch >= this.#epoch) {
          // Whoever else it names has not shown to have what was shipped to the target.
          if (record.epoch > this.#epoch || record.holder?.node !== this.#target) break;
          this.#done();
          this.#settled.resolve(true);
          return record;
        }
        await lease.changed(state, signal);
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
        await sleep(retryMs, signal);
      }
    }
    this.#settled.resolve(false);
    return undefined;
  }
}
