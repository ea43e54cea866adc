/** Those who wait for something of which there is only so much, in the order in which they came. */
export class WaitingLine<Thing> {
  readonly #lengthMax: number;
  readonly #takers = new Set<(thing: Thing | undefined) => void>();

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#takers.size;
  }

  /**
   * Resolves to what is handed on when it is this one's turn; to undefined when the line is too long, after `timeoutMs`, or when
   * `signal` aborts.
   */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<Thing | undefined> {
    if (this.#takers.size >= this.#lengthMax || signal.aborted) return undefined;
    const { promise, resolve } = Promise.withResolvers<Thing | undefined>();
    // Taken out at once: what is handed on goes to somebody who still wants it.
    const take = (thing: Thing | undefined) => {
      this.#takers.delete(take);
      resolve(thing);
    };
    const giveUp = () => take(undefined);
    this.#takers.add(take);
    const timer = setTimeout(giveUp, timeoutMs);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** Gives it to who has waited longest. False when nobody waits. */
  hand(thing: Thing): boolean {
    for (const take of this.#takers) {
      take(thing);
      return true;
    }
    return false;
  }

  /** Sends everybody away. */
  end(): void {
    for (const take of this.#takers) take(undefined);
  }
}
