import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';

export interface Job<Data> {
  id: number;
  data: Data;
  attempt: number;
}

const attemptsMax = 5;
const backoffMs = 500;
const pollMs = 100;
/** A job whose worker has not finished it by then is given out again: the worker is gone. */
const lockMs = 5000;

/** A queue of jobs in a table of the app's own database, so that a job is added in the transaction that it belongs to. */
export class Queue<Data> {
  readonly #database: Database;
  readonly #name: string;

  constructor(database: Database, name: string) {
    this.#database = database;
    this.#name = name;
  }

  add(data: Data): void {
    this.#database
      .prepare('INSERT INTO jobs (queue, data, run_at) VALUES (?, ?, ?)')
      .run(this.#name, JSON.stringify(data), Date.now());
  }

  /** Works through the jobs one by one, those that fail again after a pause, until the signal. */
  async process(handle: (job: Job<Data>) => void | Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const job = this.#take();
      if (job) await this.#run(job, handle);
      else await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #run(job: Job<Data>, handle: (job: Job<Data>) => void | Promise<void>): Promise<void> {
    try {
      await handle(job);
      this.#database.prepare('UPDATE jobs SET done_at = ? WHERE id = ?').run(Date.now(), job.id);
    } catch (error) {
      console.error(`job ${job.id}, attempt ${job.attempt}: ${String(error)}`);
      this.#database
        .prepare('UPDATE jobs SET run_at = ?, error = ? WHERE id = ?')
        .run(Date.now() + backoffMs * 2 ** job.attempt, String(error), job.id);
    }
  }

  /** Takes the next job, and locks it in the same statement: two workers never get the same one. */
  #take(): Job<Data> | undefined {
    const row = this.#database
      .prepare(
        `UPDATE jobs SET run_at = @now + ${lockMs}, attempts = attempts + 1
           WHERE id = (SELECT id FROM jobs
             WHERE queue = @queue AND done_at IS NULL AND attempts < ${attemptsMax} AND run_at <= @now
             ORDER BY run_at, id LIMIT 1)
           RETURNING id, data, attempts`,
      )
      .get({ queue: this.#name, now: Date.now() }) as
      | { id: number; data: string; attempts: number }
      | undefined;
    return row && { id: row.id, data: JSON.parse(row.data) as Data, attempt: row.attempts };
  }
}
