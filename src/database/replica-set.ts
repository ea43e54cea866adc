import { existsSync, lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { emptyPosition } from '../ltx/position.ts';
import type { DataDirectory } from './data-directory.ts';
import { type DatabaseContext, type DatabaseParts, openParts } from './database-parts.ts';
import { LentMark } from './lent-mark.ts';
import { keepLost, type LostRange } from './lost-entry.ts';
import { PrimaryDatabase } from './primary-database.ts';
import { ReplicaDatabase } from './replica-database.ts';
import type { RestingDatabase } from './resting-database.ts';
import { setAside } from './set-aside.ts';
import { SnapshotInstall } from './snapshot-install.ts';

const keepAgainFirstMs = 1_000;
const keepAgainMaxMs = 60_000;
/** How long a database that is opened late waits for a writer, and one that a start opens. */
const writerTimeoutMs = 200;
const startWriterTimeoutMs = 10_000;

/** A copy for which there was no room, and when it is tried again. */
type Unkept = { readonly error: SkeinError; readonly backoff: Backoff; readonly retryAtMs: number };

/** All databases of a node that follows. */
export class ReplicaSet {
  readonly #context: DatabaseContext;
  readonly #directory: DataDirectory;
  readonly #databases = new Map<string, ReplicaDatabase>();
  readonly #unkept = new Map<string, Unkept>();

  constructor(context: DatabaseContext, directory: DataDirectory) {
    this.#context = context;
    this.#directory = directory;
  }

  /** Opens what is there; a copy that is damaged is set aside and fetched anew. Throws the first other error. */
  async start(): Promise<void> {
    for (const name of this.#directory.linkNames()) {
      this.#context.warn('a symbolic link is not a database of this node; put the file itself in its place', {
        file: name,
      });
    }
    for (const name of this.#directory.databaseNames()) {
      const database = await this.#open(name);
      if (database) this.#databases.set(name, database);
    }
    for (const name of this.#directory.loggedNames()) {
      if (!existsSync(join(this.#directory.path, name))) this.#directory.removeLog(name);
    }
  }

  /**
   * Opens what was left out when this node ceased to lead: without it, this node could never lead again. To be called only
   * while nothing is received.
   */
  async openMissing(): Promise<void> {
    for (const name of this.#directory.loggedNames()) {
      if (this.#databases.has(name) || !existsSync(join(this.#directory.path, name))) continue;
      try {
        this.#databases.set(name, await this.#openAsLedWith(name, writerTimeoutMs));
        this.#context.notice('the database is open again', { database: name });
      } catch (error) {
        // A program holds it, or the disk is out of order: it is tried again, and the first try was said.
        if (!(error instanceof SkeinError) && systemCodeOf(error) === undefined) throw error;
      }
    }
  }

  /** Takes over what this node has led with. What else lies in the directory is not touched. */
  adopt(resting: readonly RestingDatabase[]): void {
    for (const one of resting) this.#databases.set(one.parts.name, ReplicaDatabase.adopt(this.#context, one));
  }

  /** Gives up all databases, into which nothing is applied any more. Rejects with `DATABASE_BUSY`; all is as it was then. */
  async rest(): Promise<RestingDatabase[]> {
    const resting: RestingDatabase[] = [];
    try {
      for (const database of this.#databases.values()) resting.push(await database.rest());
    } catch (error) {
      this.adopt(resting);
      throw error;
    }
    this.#databases.clear();
    return resting;
  }

  get(name: string): ReplicaDatabase | undefined {
    return this.#databases.get(name);
  }

  all(): ReplicaDatabase[] {
    return [...this.#databases.values()];
  }

  /** What stands still, and why: databases whose state was to be replaced, and of which no copy could be kept. */
  problems(): ReadonlyMap<string, string> {
    return new Map([...this.#unkept].map(([name, { error }]) => [name, error.message]));
  }

  /**
   * Begins to receive all of a database. What is here of it stays, and is read, until the new state is whole. Throws
   * `DISK_FULL` when a moment ago there was no room for a copy of it.
   */
  beginInstall(name: string): DatabaseInstall {
    this.#requireNoWait(name);
    const parts = new LateParts(this.#context, name);
    const install = new SnapshotInstall(this.#context, parts);
    return {
      push: (chunk) => install.push(chunk),
      room: () => install.room(),
      finish: async () => {
        try {
          const why = 'all of the database comes anew from the primary';
          const database = await install.finish(() => this.#makeWay(name, why));
          this.#databases.set(name, database);
          return database;
        } catch (error) {
          parts.close();
          throw error;
        }
      },
      abort: () => install.abort(),
    };
  }

  /**
   * Keeps this node's state of a database in `.skein/lost`, with the transactions of `range`, and says why. `epoch` is that of
   * the chain that is given up. Rejects with `DISK_FULL`, without a try when the last one was a moment ago, `DATABASE_BUSY`,
   * or the system's error.
   */
  async keepLost(database: ReplicaDatabase, reason: string, epoch = 0, range?: LostRange): Promise<void> {
    const { name } = database;
    this.#requireNoWait(name);
    const { node, nodeId } = this.#context;
    const pinned = await database.pin();
    try {
      const { log } = database.parts;
      const state = { database: name, node, nodeId, epoch, log, range, reason };
      const entry = await keepLost(this.#directory.hidden, pinned, state);
      const { id, from, to, transactions } = entry;
      this.#unkept.delete(name);
      this.#context.lost(entry);
      this.#context.warn(`${reason}; this node's state was kept`, {
        database: name,
        entry: id,
        ...(from === null ? {} : { transactions, from }),
        to,
        look: `skein lost show '${id}'`,
      });
    } catch (error) {
      if (error instanceof SkeinError && error.code === 'DISK_FULL') this.#noteUnkept(name, reason, error);
      throw error;
    } finally {
      pinned.release();
    }
  }

  /**
   * The primary has deleted the database: so does this node, but for a copy in `.skein/lost`. Programs that have it open
   * keep what they had. Rejects as `keepLost` does; all is as it was then.
   */
  async drop(name: string): Promise<void> {
    await this.#makeWay(name, 'the primary dropped the database');
    this.#unkept.delete(name);
    this.#directory.removeLog(name);
  }

  async stop(): Promise<void> {
    for (const database of this.#databases.values()) await database.close();
    this.#databases.clear();
  }

  /** What was written here as by a primary may not be in the log yet: it is captured first. */
  async #openAsLedWith(name: string, timeoutMs: number): Promise<ReplicaDatabase> {
    const parts = openParts(this.#context, name);
    let primary: PrimaryDatabase;
    try {
      primary = await PrimaryDatabase.open(this.#context, parts);
    } catch (error) {
      parts.log.close();
      throw error;
    }
    try {
      if (!(await primary.fence(timeoutMs)))
        throw new SkeinError('DATABASE_BUSY', `${name}: a program holds a write transaction open.`);
      return ReplicaDatabase.adopt(this.#context, await primary.rest());
    } catch (error) {
      await primary.close();
      throw error;
    }
  }

  /** Undefined when what is there was this node's copy, and can be none any more. */
  async #open(name: string): Promise<ReplicaDatabase | undefined> {
    const wasHere = this.#directory.hasLog(name);
    const path = join(this.#directory.path, name);
    try {
      return await this.#openAsLeft(name);
    } catch (error) {
      if (!wasHere) this.#directory.removeLog(name);
      const isDamaged =
        error instanceof SkeinError &&
        (error.code === 'DATABASE_NOT_SQLITE' || error.code === 'DATABASE_ENCRYPTED');
      // A file that no node had here before may be anything; it is for a person to move.
      if (!isDamaged || !wasHere) throw error;
      const aside = setAside(this.#directory.hidden, path, name, wallClockMs());
      this.#directory.removeLog(name);
      this.#context.warn("this node's copy is damaged; it was set aside and is fetched anew", {
        database: name,
        file: aside,
        reason: error.message,
      });
      return undefined;
    }
  }

  /** As its last writer left it: a program of this node under a halt lock, or Skein. */
  async #openAsLeft(name: string): Promise<ReplicaDatabase> {
    const mark = new LentMark(this.#directory.hidden, name);
    const parts = openParts(this.#context, name);
    // Whether the machine lost what came before the mark cannot be told without a log that leads to it.
    const isInDoubt = this.#context.rollForward && mark.position && !parts.log.find(mark.position);
    try {
      if (isInDoubt) mark.set(emptyPosition);
      if (!mark.position) return await ReplicaDatabase.open(this.#context, parts);
    } catch (error) {
      parts.log.close();
      throw error;
    }
    parts.log.close();
    return this.#openAsLedWith(name, startWriterTimeoutMs);
  }

  /** Nothing of the name is in the app's directory after this, and what was there is in `.skein/lost`. */
  async #makeWay(name: string, why: string): Promise<void> {
    const database = this.#databases.get(name);
    const path = join(this.#directory.path, name);
    if (database) {
      await this.keepLost(database, why);
      this.#databases.delete(name);
      await database.close();
      database.parts.positionFile.delete();
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
      new LentMark(this.#directory.hidden, name).clear();
      return;
    }
    const stranger = lstatSync(path, { throwIfNoEntry: false });
    if (!stranger || stranger.isDirectory() || (stranger.isFile() && stranger.size === 0)) return;
    // Not opened to be copied: it may be anything.
    const file = setAside(this.#directory.hidden, path, name, wallClockMs());
    this.#context.warn(`${why}; a file of that name that is not this node's was set aside`, {
      database: name,
      file,
    });
  }

  /** A copy is as large as the database: for want of room it is not begun again and again. */
  #requireNoWait(name: string): void {
    const unkept = this.#unkept.get(name);
    if (unkept && monotonicMs() < unkept.retryAtMs) throw unkept.error;
  }

  #noteUnkept(name: string, why: string, error: SkeinError): void {
    const known = this.#unkept.get(name);
    const backoff = known?.backoff ?? new Backoff(keepAgainFirstMs, keepAgainMaxMs);
    this.#unkept.set(name, { error, backoff, retryAtMs: monotonicMs() + backoff.nextMs() });
    if (!known)
      this.#context.warn(`${why}, and no copy could be kept: the database stands still`, {
        database: name,
        code: error.code,
        reason: error.message,
      });
  }
}

/** Opens the log when it is first needed: until the new state is put in place, the database that is here has it. */
class LateParts implements DatabaseParts {
  readonly name: string;
  readonly path: string;
  readonly #context: DatabaseContext;
  #opened: DatabaseParts | undefined;

  constructor(context: DatabaseContext, name: string) {
    this.#context = context;
    this.name = name;
    this.path = join(context.directory, name);
  }

  get log(): DatabaseParts['log'] {
    return this.#parts.log;
  }

  get positionFile(): DatabaseParts['positionFile'] {
    return this.#parts.positionFile;
  }

  close(): void {
    this.#opened?.log.close();
    this.#opened?.positionFile.close();
  }

  get #parts(): DatabaseParts {
    this.#opened ??= openParts(this.#context, this.name);
    return this.#opened;
  }
}

export type DatabaseInstall = {
  push(chunk: Uint8Array): void;
  /** To be awaited after each `push`: the disk may be slower than the network. */
  room(): Promise<unknown> | undefined;
  finish(): Promise<ReplicaDatabase>;
  abort(): void;
};
