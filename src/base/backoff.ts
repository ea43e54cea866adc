import { assert } from './assert.ts';

/** Delays that double from `firstMs` to `maxMs`, each jittered by ±20 % so that peers do not move in step. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    assert(firstMs > 0 && maxMs >= firstMs, `back-off from ${firstMs} to ${maxMs} ms`);
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  nextMs(): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, delayMs * 2);
    return delayMs * (0.8 + 0.4 * Math.random());
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
