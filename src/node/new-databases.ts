import { statSync } from 'node:fs';
import { wallClockMs } from '../base/clock.ts';
import type { Replication } from './replication.ts';

/** A time that is this young may still stand for two changes: file systems count it in ticks. */
const freshMs = 50;

/** Makes sure that a database which the app has just made is known, at the price of one `stat` where there is none. */
export class NewDatabases {
  readonly #directory: string;
  #seenMs = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async look(replication: Replication): Promise<void> {
    const changedMs = statSync(this.#directory, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (changedMs === this.#seenMs && wallClockMs() - changedMs > freshMs) return;
    this.#seenMs = changedMs;
    await replication.rescan();
  }
}
