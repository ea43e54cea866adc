import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { requireSqlite } from '../sqlite/database-files.ts';
import { CaptureLoop } from './capture-loop.ts';
import type { DataDirectory } from './data-directory.ts';
import { type DatabaseContext, openParts } from './database-parts.ts';
import { PrimaryDatabase } from './primary-database.ts';
import type { RestingDatabase } from './resting-database.ts';
import { setWalAside } from './set-aside.ts';

const retryFirstMs = 250;
const retryMaxMs = 5_000;
/** How long a start waits, in all, for programs that hold databases; those that stay held are found later. */
const startWaitMs = 10_000;
const startRetryMs = 100;
/** A name that leads to nothing may be that of a file which a program is putting in place; after this it was deleted. */
const goneAfterMs = 100;

export type PrimarySetListener = {
  added(database: PrimaryDatabase): void;
  /**
   * The app has deleted the file. The answer is waited for before the next listener hears of it, and anything is looked for;
   * false when nobody else is to hear of it.
   */
  dropped(name: string): Promise<boolean> | boolean;
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
  #nextScan: Promise<void> | undefined;
  /** The next look tries what was refused without waiting for its time. */
  #isEager = false;
  /** By database: since when, on the monotonic clock, its name has led to nothing. */
  readonly #gone = new Map<string, number>();
  #scanSoon: NodeJS.Timeout | undefined;
  /** What was said once: links, and what is wrong with looking. Cleared when it is over. */
  readonly #warned = new Map<string, string>();
  readonly #stopping = new AbortController();
  /** By name: the last TXID of a database that was deleted. One that is made anew goes on above it. */
  readonly #former = new Map<string, number>();
  /** While the app may not write, no database is added: it could be written before it is fenced. */
  #isFenced = false;

  constructor(context: DatabaseContext, directory: DataDirectory) {
    this.#context = context;
    this.#directory = directory;
    this.#loop = new CaptureLoop(directory.path, {
      capture: (name) => this.#capture(name),
      names: () => [...this.#databases.keys()],
      changed: () => void this.scan(),
      unwatched: (error) => {
        const advice = 'raise fs.inotify.max_user_watches and max_user_instances';
        const fields = { directory: directory.path, reason: messageOf(error), advice };
        this.#warnOnce('watch', 'the kernel reports no changes here; it is looked every 25 ms', fields);
      },
    });
  }

  /** Opens what is there. Throws the first error that time does not mend. */
  async start(): Promise<void> {
    const names = this.#directory.databaseNames();
    // All before any is opened: a start that is refused changes as little as can be.
    for (const name of names) requireSqlite(join(this.#directory.path, name), name);
    const untilMs = monotonicMs() + startWaitMs;
    for (const name of names) await this.#openBy(name, untilMs);
    for (const name of this.#directory.loggedNames()) {
      if (!existsSync(join(this.#directory.path, name))) this.#directory.removeLog(name);
    }
    this.#warnOfLinks();
    this.#loop.start();
  }

  /** Takes over what this node has followed with, fenced: `unfence` opens it to the app and looks for more. */
  adopt(resting: readonly RestingDatabase[]): void {
    this.#isFenced = true;
    for (const one of resting) {
      try {
        this.#add(PrimaryDatabase.adopt(this.#context, one));
      } catch (error) {
        if (systemCodeOf(error) === undefined) throw error;
        // It is found again when the app may write.
        this.#refuse(one.parts.name, error);
        one.files.close();
        one.parts.log.close();
        one.parts.positionFile.close();
      }
    }
    this.#loop.start();
  }

  /**
   * Keeps the app from writing. Returns the names of databases that a writer did not let go of within `timeoutMs`: it may
   * still write there. A database that is being opened at this moment is not added any more.
   */
  async fence(timeoutMs: number, signal: AbortSignal): Promise<string[]> {
    this.#isFenced = true;
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    const fenced = await Promise.all(
      this.all().map(async (one) => [one.name, await one.fence(timeoutMs, either)] as const),
    );
    // One that was deleted meanwhile is nobody's to write.
    return fenced.filter(([name, isFenced]) => !isFenced && this.#databases.has(name)).map(([name]) => name);
  }

  /** Lets the app write again. */
  unfence(): void {
    this.#isFenced = false;
    for (const database of this.all()) database.unfence();
    void this.scan();
  }

  /** Gives up all databases, which are fenced. One that cannot be given up as it is is closed, and left out. */
  async rest(): Promise<RestingDatabase[]> {
    await this.#end();
    const resting: RestingDatabase[] = [];
    for (const database of this.#databases.values()) {
      try {
        resting.push(await database.rest());
      } catch (error) {
        this.#context.warn('this node does not know what it has; the new primary will send what differs', {
          database: database.name,
          reason: messageOf(error),
        });
        await database.close();
      }
    }
    this.#databases.clear();
    return resting;
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

  /**
   * Looks for databases that came or went. Resolves when a look that began after this call is done. What goes wrong is said
   * once and tried again: what was refused in its time, or with `all` in this look, since what was in the way may have ended.
   */
  scan(which: 'due' | 'all' = 'due'): Promise<void> {
    this.#isEager ||= which === 'all';
    if (this.#isStopped || this.#isFenced) return Promise.resolve();
    if (!this.#scanning) {
      this.#scanning = this.#scan().finally(() => {
        this.#scanning = undefined;
      });
      return this.#scanning;
    }
    this.#nextScan ??= this.#scanning.then(() => {
      this.#nextScan = undefined;
      return this.scan();
    });
    return this.#nextScan;
  }

  async stop(): Promise<void> {
    await this.#end();
    for (const database of this.#databases.values()) await database.close();
    this.#databases.clear();
  }

  /** Nothing is looked for or captured after this, but by the databases themselves. */
  async #end(): Promise<void> {
    this.#stopping.abort();
    this.#loop.stop();
    clearTimeout(this.#scanSoon);
    await this.#nextScan;
    await this.#scanning;
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #scan(): Promise<void> {
    const isEager = this.#isEager;
    this.#isEager = false;
    try {
      // A disk that was unmounted is not a database that was deleted.
      if (!this.#directory.isStillInPlace()) return;
      for (const [name, database] of this.#databases) {
        if (this.#isLost(name, database)) await this.#letGo(name, database);
      }
      for (const name of this.#refused.keys()) {
        if (!existsSync(join(this.#directory.path, name))) this.#refused.delete(name);
      }
      for (const name of this.#directory.databaseNames()) {
        if (this.#databases.has(name)) continue;
        const refused = this.#refused.get(name);
        if (!isEager && refused && monotonicMs() < refused.retryAtMs) continue;
        await this.#open(name).catch((error: unknown) => this.#refuse(name, error));
      }
      this.#warnOfLinks();
      this.#warned.delete('');
    } catch (error) {
      if (error instanceof Error && error.name === 'AssertionFailure') throw error;
      this.#warnOnce('', 'the database directory cannot be looked through; it is tried again', {
        reason: messageOf(error),
      });
    }
  }

  /** Whether the app has deleted or replaced the file. That it cannot be told is no sign of either. */
  #isLost(name: string, database: PrimaryDatabase): boolean {
    try {
      const place = database.files.place();
      // Looked at after the file: if the directory went away in between, the file did not.
      const isGone = place === 'gone' && this.#directory.isStillInPlace();
      const nowMs = monotonicMs();
      const sinceMs = this.#gone.get(name) ?? nowMs;
      if (isGone) this.#gone.set(name, sinceMs);
      else this.#gone.delete(name);
      this.#warned.delete(name);
      // Another file under the name is no moment between two steps of a program: it is there to stay, and to be opened.
      if (place === 'replaced') return this.#directory.isStillInPlace();
      if (!isGone) return false;
      if (nowMs - sinceMs >= goneAfterMs) return true;
      clearTimeout(this.#scanSoon);
      this.#scanSoon = setTimeout(() => void this.scan(), goneAfterMs + 1);
    } catch (error) {
      if (systemCodeOf(error) === undefined) throw error;
      const reason = messageOf(error);
      this.#warnOnce(name, 'the database file cannot be looked at; it is taken to be there', {
        database: name,
        reason,
      });
    }
    return false;
  }

  async #letGo(name: string, database: PrimaryDatabase): Promise<void> {
    const isReplaced = database.files.place() === 'replaced';
    // First: while this fails the new file is not opened.
    this.#freeName(name, database);
    this.#gone.delete(name);
    this.#failing.delete(name);
    this.#databases.delete(name);
    this.#former.set(name, (await database.close()).txid);
    database.parts.positionFile.delete();
    this.#directory.removeLog(name);
    const message = isReplaced
      ? 'the database file was replaced by another, which replicas get; restart what had it open'
      : 'the database file was deleted; replicas delete theirs';
    this.#context.notice(message, { database: name });
    for (const listener of this.#listeners) if (!(await listener.dropped(name))) return;
  }

  /**
   * SQLite finds a WAL by its name, and would put the old file's pages into a new one. So the old WAL is moved away, at once
   * and before anything is opened, but only while its name leads to the file that is held here: any other belongs to the new
   * database. A program that still has the old file open keeps old file, WAL and lock file together, whatever they are
   * called. One that has opened the new file already, with the old WAL, has it mixed: nothing mends that, but nobody
   * who opens it from now on adds to it.
   */
  #freeName(name: string, { files }: PrimaryDatabase): void {
    const companions = files.companionsInPlace();
    if (companions.includes('-wal')) {
      if (files.walBytes() > 0) setWalAside(this.#directory.hidden, files.path, name);
      else rmSync(`${files.path}-wal`, { force: true });
    }
    if (companions.includes('-shm')) rmSync(`${files.path}-shm`, { force: true });
  }

  #warnOfLinks(): void {
    for (const name of this.#directory.linkNames()) {
      const message = 'a symbolic link is not replicated; put the file itself in the database directory';
      this.#warnOnce(`link ${name}`, message, { file: name });
    }
  }

  #warnOnce(subject: string, message: string, fields: Record<string, unknown>): void {
    const said = JSON.stringify([message, fields]);
    if (this.#warned.get(subject) === said) return;
    this.#warned.set(subject, said);
    this.#context.warn(message, fields);
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

  /** A program that holds the database at this moment is waited for, not for ever. */
  async #openBy(name: string, untilMs: number): Promise<void> {
    for (;;) {
      try {
        return await this.#open(name);
      } catch (error) {
        if (!(error instanceof SkeinError && error.code === 'DATABASE_BUSY')) throw error;
        if (monotonicMs() >= untilMs || this.#isStopped) return this.#refuse(name, error);
        await sleep(startRetryMs, this.#stopping.signal);
      }
    }
  }

  async #open(name: string): Promise<void> {
    const path = join(this.#directory.path, name);
    if (statSync(path).size === 0) return;
    const parts = openParts(this.#context, name);
    let database: PrimaryDatabase;
    try {
      database = await PrimaryDatabase.open(this.#context, parts, this.#former.get(name));
    } catch (error) {
      const isNew = !parts.log.isStarted;
      parts.log.close();
      // A log says that the database was this node's.
      if (isNew) this.#directory.removeLog(name);
      throw error;
    }
    if (this.#isFenced) {
      await database.close();
      return;
    }
    if (this.#refused.get(name)?.reported)
      this.#context.notice('the file is replicated now', { database: name });
    this.#refused.delete(name);
    this.#add(database);
    await this.#capture(name);
  }

  #add(database: PrimaryDatabase): void {
    this.#databases.set(database.name, database);
    for (const listener of this.#listeners) listener.added(database);
  }

  async #capture(name: string): Promise<number> {
    const database = this.#databases.get(name);
    if (!database || this.#isStopped) return 0;
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
