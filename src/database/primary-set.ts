import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { CaptureLoop } from './capture-loop.ts';
import type { DataDirectory } from './data-directory.ts';
import { type DatabaseContext, openParts } from './database-parts.ts';
import { PrimaryDatabase } from './primary-database.ts';

const retryFirstMs = 250;
const retryMaxMs = 5_000;

export type PrimarySetListener = {
  added(database: PrimaryDatabase): void;
  /** The app has deleted the file. */
  dropped(name: string): void;
};

/** A database that cannot be replicated now, and when it is tried again. */
type Refused = {
  readonly reason: string;
  readonly backoff: Backoff;
  readonly retryAtMs: number;
  /** Whether a person was told. */
  readonly reported: boolean;
};

/** All databases in the directory of the node that leads: found, opened, captured, and let go when the app deletes them. */
export class PrimarySet {
  readonly #context: DatabaseContext;
  readonly #directory: DataDirectory;
  readonly #databases = new Map<string, PrimaryDatabase>();
  readonly #refused = new Map<string, Refused>();
  readonly #listeners = new Set<PrimarySetListener>();
  readonly #loop: CaptureLoop;
  /** Capture failures that were reported, so that each is said once. */
  readonly #failing = new Map<string, string>();
  #scanning: Promise<void> | undefined;
  #scanAgain = false;
  #stopped = false;

  constructor(context: DatabaseContext, directory: DataDirectory) {
    this.#context = context;
    this.#directory = directory;
    this.#loop = new CaptureLoop(directory.path, {
      capture: (name) => this.#capture(name),
      names: () => [...this.#databases.keys()],
      changed: () => void this.scan(),
    });
  }

  /** Opens what is there. Throws the first error that time does not mend. */
  async start(): Promise<void> {
    for (const name of this.#directory.databaseNames()) {
      await this.#open(name).catch((error: unknown) => {
        // A program that creates it at this moment, say; it is tried again.
        if (!(error instanceof SkeinError && error.code === 'DATABASE_BUSY')) throw error;
        this.#refuse(name, error);
      });
    }
    for (const name of this.#directory.loggedNames()) {
      if (!existsSync(join(this.#directory.path, name))) this.#directory.removeLog(name);
    }
    this.#loop.start();
  }

  get(name: string): PrimaryDatabase | undefined {
    return this.#databases.get(name);
  }

  all(): PrimaryDatabase[] {
    return [...this.#databases.values()];
  }

  /** What stands still, and why: databases that could not be opened or captured. */
  problems(): ReadonlyMap<string, string> {
    const problems = new Map(this.#failing);
    for (const [name, refused] of this.#refused) problems.set(name, refused.reason);
    return problems;
  }

  addListener(listener: PrimarySetListener): void {
    this.#listeners.add(listener);
  }

  removeListener(listener: PrimarySetListener): void {
    this.#listeners.delete(listener);
  }

  /** Looks for databases that came or went. Calls that come during one are answered by one more. */
  scan(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (this.#scanning) {
      this.#scanAgain = true;
      return this.#scanning;
    }
    this.#scanning = this.#scan().finally(() => {
      this.#scanning = undefined;
      if (this.#scanAgain) {
        this.#scanAgain = false;
        void this.scan();
      }
    });
    return this.#scanning;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#loop.stop();
    await this.#scanning;
    for (const database of this.#databases.values()) await database.close();
    this.#databases.clear();
  }

  async #scan(): Promise<void> {
    // A disk that was unmounted is not a database that was deleted.
    if (!this.#directory.isStillInPlace()) return;
    for (const [name, database] of this.#databases) {
      if (database.files.isStillInPlace()) continue;
      this.#databases.delete(name);
      await database.close();
      database.parts.positionFile.delete();
      this.#directory.removeLog(name);
      this.#context.notice('the database file was deleted; replicas delete theirs', { database: name });
      for (const listener of this.#listeners) listener.dropped(name);
    }
    for (const name of this.#refused.keys()) {
      if (!existsSync(join(this.#directory.path, name))) this.#refused.delete(name);
    }
    for (const name of this.#directory.databaseNames()) {
      if (this.#databases.has(name)) continue;
      const refused = this.#refused.get(name);
      if (refused && monotonicMs() < refused.retryAtMs) continue;
      await this.#open(name).catch((error: unknown) => this.#refuse(name, error));
    }
  }

  #refuse(name: string, error: unknown): void {
    const reason = messageOf(error);
    const known = this.#refused.get(name);
    const backoff = known?.backoff ?? new Backoff(retryFirstMs, retryMaxMs);
    const reported = known?.reason === reason;
    this.#refused.set(name, { reason, backoff, retryAtMs: monotonicMs() + backoff.nextMs(), reported });
    // A database that is being created is locked for a moment: said only when it stays so.
    if (reported && !known?.reported)
      this.#context.warn('this file is not replicated', { database: name, reason });
  }

  async #open(name: string): Promise<void> {
    const path = join(this.#directory.path, name);
    if (statSync(path).size === 0) return;
    const parts = openParts(this.#context, name);
    let database: PrimaryDatabase;
    try {
      database = await PrimaryDatabase.open(this.#context, parts);
    } catch (error) {
      parts.log.close();
      throw error;
    }
    if (this.#refused.get(name)?.reported)
      this.#context.notice('the file is replicated now', { database: name });
    this.#refused.delete(name);
    this.#databases.set(name, database);
    for (const listener of this.#listeners) listener.added(database);
    await this.#capture(name);
  }

  async #capture(name: string): Promise<number> {
    const database = this.#databases.get(name);
    if (!database || this.#stopped) return 0;
    try {
      const commits = await database.capture();
      if (this.#failing.delete(name))
        this.#context.notice('the database is captured again', { database: name });
      database.recycleIfDue();
      return commits;
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'AssertionFailure') throw error;
      const reason = messageOf(error);
      if (this.#failing.get(name) !== reason) {
        const code = error instanceof SkeinError ? error.code : undefined;
        this.#context.warn('the database cannot be captured; replicas stand still', {
          database: name,
          code,
          reason,
        });
      }
      this.#failing.set(name, reason);
      return 0;
    }
  }
}
