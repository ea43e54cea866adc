import { statSync } from 'node:fs';
import { wallClockMs } from '../base/clock.ts';
import type { Replication } from './replication.ts';

/** A time that is this young may still stand for two changes: file systems count it in ticks. */
const freshMs = 50;

/** Makes sure that a database which the app has just made is known, at the price of one `stat` where there is none. */
export class NewDatabases {
  readonly #directory: string;
  #seenMs = 0;
  #looking: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async look(replication: Replication): Promise<void> {
    // Only the primary takes in what its app makes.
    if (replication.role !== 'primary') return;
    const changedMs = statSync(this.#directory, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const isFresh = wallClockMs() - changedMs <= freshMs;
    if (changedMs === this.#seenMs && !isFresh) {
      await this.#looking;
      return;
    }
    this.#seenMs = changedMs;
    const looking = replication.rescan();
    this.#looking = looking;
    try {
      await looking;
    } catch (error) {
      this.#seenMs = 0;
      throw error;
    }
  }
}
