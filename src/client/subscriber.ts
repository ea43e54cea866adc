export type SubscribeOptions = {
  /** Messages that may wait for this subscriber, 1,000 unless set; the oldest makes way then. */
  readonly bufferMax?: number;
  /**
   * Called with how many messages this subscriber has missed, since it or its process was too slow; with undefined when the link to
   * the node was lost for a while, and nobody knows.
   */
  readonly missed?: (count: number | undefined) => void;
};

const bufferMaxDefault = 1_000;

/** One subscriber of a channel: gets messages one after the other, each when it is done with the one before. */
export class Subscriber<Message> {
  readonly #listener: (message: Message) => unknown;
  readonly #options: SubscribeOptions;
  #waiting: Message[] = [];
  #isBusy = false;
  #isEnded = false;
  #missed = 0;

  constructor(listener: (message: Message) => unknown, options: SubscribeOptions) {
    this.#listener = listener;
    this.#options = options;
  }

  push(message: Message): void {
    if (this.#isEnded) return;
    this.#waiting.push(message);
    if (this.#waiting.length > (this.#options.bufferMax ?? bufferMaxDefault)) {
      this.#waiting.shift();
      this.#missed += 1;
    }
    if (!this.#isBusy) void this.#deliver();
  }

  /** Messages were lost on their way here. */
  miss(count: number | undefined): void {
    if (!this.#isEnded) this.#options.missed?.(count);
  }

  end(): void {
    this.#isEnded = true;
    this.#waiting = [];
  }

  async #deliver(): Promise<void> {
    this.#isBusy = true;
    // Whoever publishes goes on first.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      if (this.#missed > 0) {
        const count = this.#missed;
        this.#missed = 0;
        this.#tell(() => this.#options.missed?.(count));
      }
      const message = this.#waiting.shift() as Message;
      try {
        const result = this.#listener(message);
        if (result instanceof Promise) await result;
      } catch (error) {
        this.#tell(() => {
          throw error;
        });
      }
    }
    this.#isBusy = false;
  }

  /** What a listener throws ends the process unless it listens for that, and not the delivery to others. */
  #tell(task: () => void): void {
    process.nextTick(task);
  }
}
