import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import type { Position } from '../ltx/position.ts';
import type { Notice } from './node-log.ts';

/** LiteFS's own numbers. */
const acquireTimeoutMs = 10_000;
const ttlMs = Number(process.env.SKEIN_TEST_HALT_TTL_MS ?? 30_000);
const retryMs = 20;
/** How long a primary that stops waits for what is being written elsewhere. */
const drainTimeoutMs = 5_000;

export type HaltLocksParts = {
  /** Throws `NOT_PRIMARY` where this node does not lead, `DATABASE_NOT_FOUND`. */
  readonly database: (name: string) => Promise<PrimaryDatabase>;
  readonly hidden: () => string;
  readonly warn: Notice;
};

export type Halt = { readonly position: Position; readonly expiresAtMs: number };

type HaltLock = {
  readonly id: string;
  readonly database: PrimaryDatabase;
  readonly position: Promise<Position>;
  expiresAtMs: number;
  timer: NodeJS.Timeout;
};

/**
 * The databases of a primary that another node writes for a moment: halted here, at most 30 s without a word of that node. One
 * lock for each database.
 */
export class HaltLocks {
  readonly #parts: HaltLocksParts;
  readonly #locks = new Map<string, HaltLock>();
  #received = 0;
  #isDraining = false;

  constructor(parts: HaltLocksParts) {
    this.#parts = parts;
  }

  /**
   * Halts a database, or with the id of the present lock, holds it for longer. Rejects with `DATABASE_BUSY` when a writer here or
   * another holder does not let go in time, and as `HaltLocksParts.database` does.
   */
  async acquire(name: string, id: string, signal: AbortSignal): Promise<Halt> {
    const untilMs = monotonicMs() + acquireTimeoutMs;
    for (;;) {
      const database = await this.#parts.database(name);
      if (this.#isDraining && this.#locks.get(name)?.id !== id)
        throw new SkeinError('DATABASE_BUSY', 'The primary is being stopped. Try again when another leads.');
      const current = this.#locks.get(name);
      // A lock of an earlier time in the lead counts for nothing.
      if (current === undefined || current.database !== database) {
        if (current) clearTimeout(current.timer);
        return this.#halt(name, id, database, untilMs, signal);
      }
      if (current.id === id) {
        clearTimeout(current.timer);
        current.expiresAtMs = wallClockMs() + ttlMs;
        current.timer = this.#expireLater(name, id);
        return { position: await current.position, expiresAtMs: current.expiresAtMs };
      }
      if (monotonicMs() >= untilMs || signal.aborted)
        throw new SkeinError(
          'DATABASE_BUSY',
          `Another node holds the halt lock of ${name}. Try again later.`,
        );
      await sleep(retryMs, signal);
    }
  }

  /** Gives the database back to this node's programs; without an effect if the lock has ended. */
  async release(name: string, id: string): Promise<void> {
    const lock = this.#locks.get(name);
    if (lock?.id !== id) return;
    clearTimeout(lock.timer);
    this.#locks.delete(name);
    await lock.position.catch(() => undefined);
    await lock.database.resume();
  }

  /**
   * Applies an LTX file of the holder. Rejects with `LEASE_LOST` when it holds the lock no more, and as `PrimaryDatabase.take`
   * does.
   */
  async take(name: string, id: string, body: Readable): Promise<Position> {
    this.#requireHeld(name, id);
    this.#received += 1;
    const file = join(this.#parts.hidden(), 'tmp', `${name}.${this.#received}.tx`);
    try {
      // Received whole, so that a slow holder keeps nothing else waiting.
      await pipeline(body, createWriteStream(file));
      const { database } = this.#requireHeld(name, id);
      return await database.take(createReadStream(file));
    } finally {
      rmSync(file, { force: true });
    }
  }

  /** Throws `DATABASE_BUSY` while a database is halted: its holder would be left with what nobody takes. */
  requireNone(): void {
    const [name] = this.#locks.keys();
    if (name === undefined) return;
    throw new SkeinError(
      'DATABASE_BUSY',
      `Another node holds the halt lock of ${name}, so the lease cannot be handed over. Try again later.`,
    );
  }

  /** Gives no more locks, and resolves when none is held any more, or after a moment. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    const untilMs = monotonicMs() + drainTimeoutMs;
    while (this.#locks.size > 0 && monotonicMs() < untilMs) await sleep(retryMs);
  }

  async #halt(
    name: string,
    id: string,
    database: PrimaryDatabase,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Halt> {
    const position = halted(database, Math.max(0, untilMs - monotonicMs()), signal);
    const expiresAtMs = wallClockMs() + ttlMs;
    const lock = { id, database, position, expiresAtMs, timer: this.#expireLater(name, id) };
    this.#locks.set(name, lock);
    try {
      return { position: await position, expiresAtMs };
    } catch (error) {
      clearTimeout(lock.timer);
      if (this.#locks.get(name) === lock) this.#locks.delete(name);
      throw error;
    }
  }

  #expireLater(name: string, id: string): NodeJS.Timeout {
    const expire = () => {
      this.#parts.warn('a halt lock was not given back in time, and is over', { database: name });
      void this.release(name, id);
    };
    return setTimeout(expire, ttlMs).unref();
  }

  #requireHeld(name: string, id: string): HaltLock {
    const lock = this.#locks.get(name);
    if (lock?.id === id) return lock;
    throw new SkeinError('LEASE_LOST', `The halt lock of ${name} is not held by this id, or no more.`);
  }
}

async function halted(database: PrimaryDatabase, timeoutMs: number, signal: AbortSignal): Promise<Position> {
  if (!(await database.halt(timeoutMs, signal))) {
    throw new SkeinError(
      'DATABASE_BUSY',
      `A program on the primary holds a write transaction of ${database.name}. Try again later.`,
    );
  }
  try {
    await database.capture();
    return database.position;
  } catch (error) {
    await database.resume();
    throw error;
  }
}
