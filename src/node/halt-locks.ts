import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { formatDuration } from '../config/duration.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import type { Position } from '../ltx/position.ts';
import type { Notice } from './node-log.ts';

/** LiteFS's own numbers. */
const acquireTimeoutMs = 10_000;
const defaultTtlMs = Number(process.env.SKEIN_TEST_HALT_TTL_MS ?? 30_000);
/** How long a replica lends a database at most: its programs have to end then. */
export const lendMaxMs = Number(process.env.SKEIN_TEST_HALT_MAX_MS ?? 600_000);
const retryMs = 20;
/** How long a primary that stops waits for what is being written elsewhere. */
const drainTimeoutMs = 5_000;
/** Locks that are over, of which it is known that they are not to be taken again. */
const overMax = 1_000;

export type HaltLocksParts = {
  /** Throws `NOT_PRIMARY` where this node does not lead, `DATABASE_NOT_FOUND`. */
  readonly database: (name: string) => Promise<PrimaryDatabase>;
  /** Whether this node leads at this moment. */
  readonly mayWrite: () => boolean;
  readonly hidden: () => string;
  readonly warn: Notice;
  /** How long a lock lasts without a word of its holder; and in all, which is longer than its holder lends the database. */
  readonly ttlMs?: number;
  readonly heldMaxMs?: number;
};

export type Halt = { readonly position: Position; readonly expiresAtMs: number; readonly isNew: boolean };

type HaltLock = {
  readonly name: string;
  readonly id: string;
  readonly database: PrimaryDatabase;
  readonly position: Promise<Position>;
  /** On the monotonic clock: it is over then, whatever its holder says. */
  readonly overAtMs: number;
  timer: NodeJS.Timeout;
  /** There once it ends: nothing is taken any more. */
  ending: Promise<void> | undefined;
};

/**
 * The databases of a primary that another node writes for a moment: halted here, at most 30 s without a word of that node, and not
 * for long in all. One lock for each database. An id that was given back, or whose time is over, is good for no other.
 */
export class HaltLocks {
  readonly #parts: HaltLocksParts;
  readonly #ttlMs: number;
  readonly #heldMaxMs: number;
  readonly #locks = new Map<string, HaltLock>();
  /** The youngest last: what comes late, or overtook its own end, halts nothing. */
  readonly #over = new Set<string>();
  #received = 0;
  #isDraining = false;

  constructor(parts: HaltLocksParts) {
    this.#parts = parts;
    this.#ttlMs = parts.ttlMs ?? defaultTtlMs;
    this.#heldMaxMs = parts.heldMaxMs ?? lendMaxMs + this.#ttlMs;
  }

  /**
   * Halts a database, or with the id of the present lock, holds it for longer. Rejects with `DATABASE_BUSY` when a writer here or
   * another holder does not let go in time, `LEASE_LOST` when the id's lock is over, and as `HaltLocksParts.database` does.
   */
  async acquire(name: string, id: string, signal: AbortSignal): Promise<Halt> {
    const untilMs = monotonicMs() + acquireTimeoutMs;
    for (;;) {
      const database = await this.#parts.database(name);
      this.#requireNotOver(name, id);
      const current = this.#locks.get(name);
      if (this.#isDraining && current?.id !== id)
        throw new SkeinError('DATABASE_BUSY', 'The primary is being stopped. Try again when another leads.');
      // A lock of an earlier time in the lead counts for nothing.
      if (current === undefined || current.database !== database) {
        if (current) clearTimeout(current.timer);
        return this.#halt(name, id, database, untilMs, signal);
      }
      if (current.id === id) return this.#renew(current);
      if (monotonicMs() >= untilMs || signal.aborted)
        throw new SkeinError(
          'DATABASE_BUSY',
          `Another node holds the halt lock of ${name}. Try again later.`,
        );
      await sleep(retryMs, signal);
    }
  }

  /**
   * Gives the database back to this node's programs. Where there is no such lock, one that is still on its way under this id is
   * not given any more.
   */
  async release(name: string, id: string): Promise<void> {
    this.#noteOver(name, id);
    const lock = this.#locks.get(name);
    if (lock?.id === id) await this.#end(lock);
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
      return await database.take(chunksOf(file), this.#parts.mayWrite);
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
    const overAtMs = monotonicMs() + this.#heldMaxMs;
    const lock: HaltLock = {
      name,
      id,
      database,
      position,
      overAtMs,
      timer: setTimeout(() => this.#expire(lock, false), this.#ttlMs).unref(),
      ending: undefined,
    };
    this.#locks.set(name, lock);
    const expiresAtMs = wallClockMs() + this.#ttlMs;
    try {
      const at = await position;
      this.#requireHeld(name, id);
      return { position: at, expiresAtMs, isNew: true };
    } catch (error) {
      clearTimeout(lock.timer);
      if (this.#locks.get(name) === lock && !lock.ending) this.#locks.delete(name);
      throw error;
    }
  }

  async #renew(lock: HaltLock): Promise<Halt> {
    clearTimeout(lock.timer);
    const leftMs = Math.min(this.#ttlMs, Math.max(0, lock.overAtMs - monotonicMs()));
    lock.timer = setTimeout(() => this.#expire(lock, leftMs < this.#ttlMs), leftMs).unref();
    const expiresAtMs = wallClockMs() + leftMs;
    return { position: await lock.position, expiresAtMs, isNew: false };
  }

  #expire(lock: HaltLock, isAtLast: boolean): void {
    const { name, id } = lock;
    const what = isAtLast
      ? `a halt lock was held for ${formatDuration(this.#heldMaxMs)}, the longest there is, and is over`
      : 'a halt lock was not given back in time, and is over';
    this.#parts.warn(what, { database: name });
    this.#noteOver(name, id);
    void this.#end(lock);
  }

  /** Nobody else has it before the database is this node's again: it is halted once. */
  #end(lock: HaltLock): Promise<void> {
    clearTimeout(lock.timer);
    lock.ending ??= (async () => {
      await lock.position.catch(() => undefined);
      await lock.database.resume();
      if (this.#locks.get(lock.name) === lock) this.#locks.delete(lock.name);
    })();
    return lock.ending;
  }

  #noteOver(name: string, id: string): void {
    const key = `${name} ${id}`;
    this.#over.delete(key);
    this.#over.add(key);
    const [first] = this.#over;
    if (this.#over.size > overMax && first !== undefined) this.#over.delete(first);
  }

  #requireNotOver(name: string, id: string): void {
    if (!this.#over.has(`${name} ${id}`)) return;
    throw new SkeinError(
      'LEASE_LOST',
      `The halt lock of ${name} under this id is over: it was given back, nothing was heard for ${formatDuration(this.#ttlMs)}, or it was held for ${formatDuration(this.#heldMaxMs)}, the longest there is. Take one under another id.`,
    );
  }

  #requireHeld(name: string, id: string): HaltLock {
    const lock = this.#locks.get(name);
    if (lock?.id === id && !lock.ending) return lock;
    throw new SkeinError('LEASE_LOST', `The halt lock of ${name} is not held by this id, or no more.`);
  }
}

/** Opened when it is first read: one that is refused before never is. */
async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path);
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
