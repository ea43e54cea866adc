import { bootClockMs, bootClockStepMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { isDisabled } from '../base/failpoint.ts';
import { sleep } from '../base/sleep.ts';
import type { Lease, LeaseToken } from './lease.ts';
import type { LeaseRecord } from './lease-record.ts';

/** The hold is renewed this many times within its TTL, if all goes well. */
const renewalsPerTtl = 3;
const retryMinMs = 50;
/** Between two writes of the record that were asked for. */
const writeMinMs = 20;

export type TermHandlers = {
  /** What the record should say now. */
  record(): LeaseRecord;
  /** This is what the store has. */
  written(record: LeaseRecord): void;
  /** Begins to keep the app from writing. Resolves when nothing can be written any more, or when `signal` aborts. Never rejects. */
  fence(signal: AbortSignal): Promise<void>;
  /** The hold was renewed after all. Never rejects. */
  unfence(): Promise<void>;
  notice(message: string, fields: Record<string, unknown>): void;
};

/** `lost`: somebody else may lead by now. `over`: given up here. */
export type TermEnd = 'lost' | 'over';

/**
 * One hold of the lease, from when it was taken to its end. It is renewed in good time; when that fails, the app is fenced
 * before the hold can end in the store, since the TTL is counted from before each call was sent.
 */
export class Term {
  readonly epoch: number;
  readonly #lease: Lease;
  readonly #token: LeaseToken;
  readonly #handlers: TermHandlers;
  readonly #fenceBeforeMs: number;
  /** On the clock that goes on while the machine sleeps. */
  #validUntilMs: number;
  #end: TermEnd | undefined;
  #wake = new AbortController();
  #fencing: { readonly isOver: Promise<void>; readonly cancel: AbortController } | undefined;
  /** Waits for the fencing to be done, to take it back. */
  #opening: Promise<void> | undefined;
  #renewing: Promise<boolean> | undefined;
  #isFailing = false;
  #writtenAtMs = 0;
  #revision = 0;

  /** `beganMs` is `bootClockMs` from before the call that took the hold. */
  constructor(lease: Lease, token: LeaseToken, epoch: number, beganMs: number, handlers: TermHandlers) {
    this.#lease = lease;
    this.#token = token;
    this.epoch = epoch;
    this.#handlers = handlers;
    this.#validUntilMs = beganMs + lease.ttlMs - bootClockStepMs;
    this.#fenceBeforeMs = fenceBeforeMs(lease.ttlMs);
  }

  /** Whether nobody else can lead at this moment. To be asked right before anything is let through. */
  get isValid(): boolean {
    return this.#end === undefined && (bootClockMs() < this.#validUntilMs || isDisabled('fencing'));
  }

  /** Until then the store gives the hold to nobody else, on the boot clock, whatever has become of the term. */
  get validUntilMs(): number {
    return this.#validUntilMs;
  }

  get validForMs(): number {
    return this.#end === undefined ? Math.max(0, this.#validUntilMs - bootClockMs()) : 0;
  }

  /** Renews until the term ends. Never rejects. */
  async run(): Promise<TermEnd> {
    const watch = setInterval(() => this.#watch(), Math.min(200, this.#fenceBeforeMs / 4));
    while (this.#end === undefined) {
      await sleep(this.#nextRenewalMs(), this.#wake.signal);
      this.#wake = new AbortController();
      if (this.#end !== undefined) break;
      await this.#renew();
      if (!this.isValid) this.#end ??= 'lost';
    }
    clearInterval(watch);
    // Whoever is still about to begin to lead lets nothing through from here on.
    if (this.#end === 'lost') this.#fence();
    await this.#fencing?.isOver;
    return this.#end;
  }

  /** The record has changed and should be written soon. */
  write(): void {
    this.#wake.abort();
  }

  /**
   * Calls `tell` with what proves the hold, and ends the term: whoever gets that renews with it, and leads. False when the term
   * was over before. It goes on when `tell` throws.
   */
  async handOver(tell: (token: LeaseToken) => void): Promise<boolean> {
    while (this.#renewing) await this.#renewing;
    if (!this.isValid) return false;
    tell(this.#token);
    // Nothing is written by this node from here on.
    this.#end = 'over';
    this.#wake.abort();
    return true;
  }

  /** Gives the lease up. The app must not be able to write any more. Never rejects: without an answer it ends by its TTL. */
  async release(record: LeaseRecord, signal: AbortSignal): Promise<void> {
    this.#end ??= 'over';
    this.#wake.abort();
    await this.#renewing;
    try {
      await this.#lease.release(this.#token, this.#nextRevision(record), signal);
    } catch (error) {
      this.#handlers.notice('the lease could not be given up; it ends by itself', {
        reason: messageOf(error),
        afterMs: this.#lease.ttlMs,
      });
    }
  }

  /** Somebody with a higher epoch was heard of. */
  lose(): void {
    this.#end ??= 'lost';
    this.#wake.abort();
  }

  #nextRenewalMs(): number {
    if (this.#isFailing) return Math.max(retryMinMs, this.#lease.ttlMs / 20);
    return this.#lease.ttlMs / renewalsPerTtl;
  }

  async #renew(): Promise<void> {
    this.#renewing = this.#renewOnce();
    const isHeld = await this.#renewing;
    this.#renewing = undefined;
    if (!isHeld) this.#end ??= 'lost';
    // Beside the renewals, which must not wait for a writer that does not let go.
    if (this.#fencing && !this.#isNearEnd) this.#opening ??= this.#open();
  }

  /** Ends the fencing, also one that waits for a writer, and lets the app write again. Never rejects. */
  async #open(): Promise<void> {
    const fencing = this.#fencing;
    fencing?.cancel.abort();
    await fencing?.isOver;
    this.#opening = undefined;
    if (!this.isValid || this.#isNearEnd) return;
    this.#fencing = undefined;
    await this.#handlers.unfence();
  }

  #fence(): void {
    if (this.#fencing && !this.#fencing.cancel.signal.aborted) return;
    const cancel = new AbortController();
    this.#fencing = { isOver: this.#handlers.fence(cancel.signal), cancel };
  }

  get #isNearEnd(): boolean {
    return this.#validUntilMs - bootClockMs() <= this.#fenceBeforeMs;
  }

  /** False when the hold is over for certain. */
  async #renewOnce(): Promise<boolean> {
    const sinceMs = bootClockMs() - this.#writtenAtMs;
    if (sinceMs < writeMinMs) await sleep(writeMinMs - sinceMs);
    // Handed over meanwhile: the record is another's to write, under the same token.
    if (this.#end !== undefined) return true;
    const beganMs = bootClockMs();
    const record = this.#nextRevision(this.#handlers.record());
    try {
      if (!(await this.#lease.renew(this.#token, record, AbortSignal.timeout(this.#lease.ttlMs))))
        return false;
      this.#validUntilMs = beganMs + this.#lease.ttlMs - bootClockStepMs;
      this.#writtenAtMs = bootClockMs();
      if (this.#isFailing) this.#handlers.notice('the lease is renewed again', {});
      this.#isFailing = false;
      this.#handlers.written(record);
    } catch (error) {
      if (!this.#isFailing) {
        this.#handlers.notice('the lease cannot be renewed; the app is kept from writing before it ends', {
          reason: messageOf(error),
          validForMs: Math.round(this.validForMs),
        });
      }
      this.#isFailing = true;
    }
    return true;
  }

  #nextRevision(record: LeaseRecord): LeaseRecord {
    this.#revision += 1;
    return { ...record, revision: this.#revision };
  }

  /** Runs at once when the process was stopped for a while, and soon after the machine slept. */
  #watch(): void {
    if (isDisabled('fencing')) return;
    if (this.#isNearEnd) this.#fence();
    if (!this.isValid) this.lose();
  }
}

/** Time that fencing has before the hold ends, ms. */
export function fenceBeforeMs(ttlMs: number): number {
  return Math.min(2_500, ttlMs / 4);
}
