import type { Stamp } from './bus-frames.ts';

/** A clock that is further ahead than this is wrong, and nobody runs with it. */
const aheadMaxMs = 86_400_000;

/**
 * Stamps that rise with every write, and are above every stamp and clock that this writer has seen. It runs with the clock that is
 * furthest ahead of those that it heard, so writers whose wall clocks differ still agree on what came last.
 */
export class HybridClock {
  readonly #writer: string;
  readonly #wallMs: () => number;
  #aheadMs = 0;
  #lastMs = 0;
  #counter = 0;

  constructor(writer: string, wallMs: () => number = Date.now) {
    this.#writer = writer;
    this.#wallMs = wallMs;
  }

  /** What others are told of this clock, ms since 1970. */
  get nowMs(): number {
    return this.#wallMs() + this.#aheadMs;
  }

  next(): Stamp {
    const nowMs = this.nowMs;
    if (nowMs > this.#lastMs) {
      this.#lastMs = nowMs;
      this.#counter = 0;
    } else {
      this.#counter += 1;
    }
    return [this.#lastMs, this.#counter, this.#writer];
  }

  /** Whether a clock may say this now: not that it is a day ahead of this machine's. */
  isPlausible(clockMs: number): boolean {
    return clockMs - this.#wallMs() <= aheadMaxMs;
  }

  /** Another clock said this a moment ago; of no effect when it is not plausible. */
  hear(clockMs: number): void {
    if (!this.isPlausible(clockMs)) return;
    this.#aheadMs = Math.max(this.#aheadMs, clockMs - this.#wallMs());
  }

  observe([ms, counter]: Stamp): void {
    if (!this.isPlausible(ms)) return;
    this.hear(ms);
    if (ms > this.#lastMs) {
      this.#lastMs = ms;
      this.#counter = counter;
    } else if (ms === this.#lastMs) {
      this.#counter = Math.max(this.#counter, counter);
    }
  }
}

/** Below zero when `one` is older than `other`; zero for the same stamp only. */
export function compareStamps(one: Stamp, other: Stamp): number {
  if (one[0] !== other[0]) return one[0] - other[0];
  if (one[1] !== other[1]) return one[1] - other[1];
  return one[2] < other[2] ? -1 : Number(one[2] > other[2]);
}
