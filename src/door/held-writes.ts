export const heldMax = 2_000;
const pollMs = 5;

/** Writes that wait until somebody can take them: one look for all of them. */
export class HeldWrites {
  readonly #hasTaker: () => boolean;
  readonly #wakes = new Set<() => void>();
  #polling: NodeJS.Timeout | undefined;

  constructor(hasTaker: () => boolean) {
    this.#hasTaker = hasTaker;
  }

  get isFull(): boolean {
    return this.#wakes.size >= heldMax;
  }

  /** Resolves in a moment at the earliest: when somebody can take writes, after `timeoutMs`, or when `signal` aborts. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakes.add(resolve);
    this.#polling ??= setInterval(() => this.#poll(), pollMs);
    const timer = setTimeout(resolve, timeoutMs);
    const end = () => resolve();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) resolve();
    await promise;
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
    this.#wakes.delete(resolve);
    if (this.#wakes.size > 0) return;
    clearInterval(this.#polling);
    this.#polling = undefined;
  }

  #poll(): void {
    if (this.#hasTaker()) for (const wake of this.#wakes) wake();
  }
}
