import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { isRefusedWrite } from './database.ts';

export interface Visit {
  id: number;
  placeId: number;
  region: string;
  visitedAt: string;
}

/** No write lock within the time allowed: another node has it, or this file may not be written. */
export class WriteRefused extends Error {}

/** The write side of the app. */
export class Visits {
  readonly #insert: StatementSync;
  readonly #timeoutMs: number;

  /** `database` must have a busy timeout of 0: waiting inside SQLite would hold up every read of this process. */
  constructor(database: DatabaseSync, timeoutMs: number) {
    this.#insert = database.prepare('INSERT INTO visits (place_id, region, visited_at) VALUES (?, ?, ?)');
    this.#timeoutMs = timeoutMs;
  }

  /** Records a visit, trying for as long as the timeout allows; throws `WriteRefused` after that. */
  async record(placeId: number, region: string): Promise<Visit> {
    const visitedAt = new Date().toISOString();
    const deadline = performance.now() + this.#timeoutMs;
    for (;;) {
      try {
        const { lastInsertRowid } = this.#insert.run(placeId, region, visitedAt);
        return { id: Number(lastInsertRowid), placeId, region, visitedAt };
      } catch (error) {
        if (!isRefusedWrite(error)) throw error;
        if (performance.now() >= deadline) throw new WriteRefused('no write lock', { cause: error });
      }
      await delay(10);
    }
  }
}
