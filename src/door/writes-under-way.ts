import { monotonicMs } from '../base/clock.ts';

/** How many requests that write are at the app, and when there is none. */
export class WritesUnderWay {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  get count(): number {
    return this.#count;
  }

  begin(): () => void {
    this.#count += 1;
    return () => {
      this.#count -= 1;
      if (this.#count === 0) for (const wake of this.#waiting) wake();
    };
  }

  /** Resolves when there is none, or after `timeoutMs`. */
  async none(timeoutMs: number): Promise<void> {
    const untilMs = monotonicMs() + timeoutMs;
    while (this.#count > 0 && monotonicMs() < untilMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      const timer = setTimeout(resolve, untilMs - monotonicMs());
      await promise;
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }
}
