/** Wakes everybody who waits for something to change; they look for themselves at what did. */
export class Change {
  #waiters = new Set<() => void>();

  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Resolves at the next change, after `timeoutMs`, or when the signal aborts, whatever comes first. */
  next(signal: AbortSignal, timeoutMs: number): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const end = () => resolve();
    this.#waiters.add(resolve);
    signal.addEventListener('abort', end);
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      this.#waiters.delete(resolve);
    });
  }
}
