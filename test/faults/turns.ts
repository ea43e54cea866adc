import { setTimeout as delay } from 'node:timers/promises';

const idleMs = 50;

/** What a client does over and over, one turn after the other, until it is stopped. */
export class Turns {
  readonly #take: () => Promise<void>;
  readonly #pauseMs: number;
  #isPaused = false;
  #isStopped = false;
  #turn: Promise<void> = Promise.resolve();
  readonly #ended: Promise<void>;

  constructor(pauseMs: number, take: () => Promise<void>) {
    this.#pauseMs = pauseMs;
    this.#take = take;
    this.#ended = this.#run();
  }

  /** Resolves when nothing is under way any more. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#turn;
  }

  resume(): void {
    this.#isPaused = false;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (!this.#isPaused) {
        this.#turn = this.#take();
        await this.#turn;
      }
      await delay(this.#isPaused ? idleMs : this.#pauseMs);
    }
  }
}
