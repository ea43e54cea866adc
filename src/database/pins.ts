/** Who reads one state of a database: as long as anybody does, no checkpoint may change the file, nor may it be closed. */
export class Pins {
  #taken = 0;
  #none = Promise.withResolvers<void>();
  #recall = new AbortController();

  constructor() {
    this.#none.resolve();
  }

  get isTaken(): boolean {
    return this.#taken > 0;
  }

  /** Aborts when all pins that are held now are wanted back. */
  get recalled(): AbortSignal {
    return this.#recall.signal;
  }

  /** Asks all who hold a pin to give it back; what they were doing is not done then. */
  recall(): void {
    const recall = this.#recall;
    this.#recall = new AbortController();
    recall.abort();
  }

  /** Resolves when nobody holds one. */
  get none(): Promise<void> {
    return this.#none.promise;
  }

  /** Returns what gives the pin back; calling it again does nothing. `last` is called when it was the last one. */
  take(last?: () => void): () => void {
    if (!this.isTaken) this.#none = Promise.withResolvers<void>();
    this.#taken += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#taken -= 1;
      if (this.isTaken) return;
      last?.();
      this.#none.resolve();
    };
  }
}
