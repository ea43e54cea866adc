import { closeSync, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { type ByteLocks, platformByteLocks, shmLock } from './byte-locks.ts';
import { WalIndexReader } from './wal-index.ts';

const headerMagic = 'SQLite format 3\0';
const retryFirstMs = 5;
const retryMaxMs = 250;

/** What the first 100 bytes of a file say it is. `empty` also stands for a header that is not written yet. */
export function databaseKind(path: string): 'empty' | 'sqlite' | 'encrypted' | 'other' {
  const file = openSync(path, 'r');
  try {
    const header = Buffer.alloc(100);
    const read = readSync(file, header, 0, header.length, 0);
    if (read === 0) return 'empty';
    if (header.toString('latin1', 0, 16) === headerMagic) return 'sqlite';
    const size = fstatSync(file).size;
    // An encrypted database is whole pages of noise; anything else that is named *.db is something else.
    const looksRandom = new Set(header).size > 60 && size % 512 === 0;
    return looksRandom ? 'encrypted' : 'other';
  } finally {
    closeSync(file);
  }
}

/** Throws `DATABASE_NOT_SQLITE` or `DATABASE_ENCRYPTED` unless the file begins as a database does. */
export function requireSqlite(path: string, name: string): void {
  const kind = databaseKind(path);
  if (kind === 'encrypted') {
    throw new SkeinError(
      'DATABASE_ENCRYPTED',
      `${name} looks encrypted (its first bytes are not SQLite's). Skein replicates plain SQLite files: encrypt the disk instead, or rename the file so that it does not end in .db.`,
    );
  }
  if (kind === 'other') {
    throw new SkeinError(
      'DATABASE_NOT_SQLITE',
      `${name} is not an SQLite database. Move it out of the database directory, or rename it so that it does not end in .db.`,
    );
  }
}

/** Parts of this process that may need one lock at the same time, without knowing of each other. */
export type LockUser = 'node' | 'fence' | 'halt' | 'recycle' | 'repair';

/** What the name in the directory leads to, seen from the file that is held open. */
export type Place = 'here' | 'gone' | 'replaced';

/**
 * Opens, and while a program holds the database (recovering, in another journal mode, in a long transaction) tries again
 * for `waitMs`, without holding the event loop up. Rejects with what `new DatabaseFiles` throws.
 */
export async function openDatabaseFiles(
  path: string,
  name: string,
  waitMs: number,
  signal?: AbortSignal,
): Promise<DatabaseFiles> {
  const untilMs = monotonicMs() + waitMs;
  const backoff = new Backoff(retryFirstMs, retryMaxMs);
  for (;;) {
    try {
      return new DatabaseFiles(path, name);
    } catch (error) {
      const isBusy = error instanceof SkeinError && error.code === 'DATABASE_BUSY';
      const leftMs = untilMs - monotonicMs();
      if (!isBusy || leftMs <= 0 || signal?.aborted) throw error;
      await sleep(Math.min(backoff.nextMs(), leftMs), signal);
    }
  }
}

/**
 * One database's three files, held open for as long as the node replicates it: an SQLite connection, so that the
 * files stay when the app's last connection closes, and one raw descriptor for each.
 *
 * The raw descriptors are closed only after the connection: closing any descriptor of a file drops all POSIX locks
 * that this process has on it, SQLite's own among them.
 */
export class DatabaseFiles {
  readonly path: string;
  readonly connection: DatabaseSync;
  readonly database: number;
  readonly wal: number;
  readonly shm: number;
  readonly walIndex: WalIndexReader;
  readonly pageSize: number;
  readonly #locks: ByteLocks;
  /** By lock: who in this process has it. It is given back when the last of them does. */
  readonly #held = new Map<keyof typeof shmLock, Set<LockUser>>();
  #closed = false;

  /**
   * Opens, and brings the database into WAL mode, which recovers it. Waits for nobody. Throws `DATABASE_BUSY`, what
   * `requireSqlite` does, and the system's error; nothing stays open then.
   */
  constructor(path: string, name: string) {
    requireSqlite(path, name);
    this.#locks = platformByteLocks();
    this.path = path;
    this.connection = openInWalMode(path, name);
    const opened: number[] = [];
    const open = (file: string, flags: string) => {
      const descriptor = openSync(file, flags);
      opened.push(descriptor);
      return descriptor;
    };
    try {
      this.database = open(path, 'r');
      this.wal = open(`${path}-wal`, 'r+');
      this.shm = open(`${path}-shm`, 'r+');
      this.walIndex = new WalIndexReader(this.shm);
      const row = this.connection.prepare('PRAGMA page_size').get();
      this.pageSize = Number(row?.page_size);
    } catch (error) {
      this.connection.close();
      for (const descriptor of opened) closeSync(descriptor);
      throw error;
    }
  }

  /**
   * Whether the name in the directory still leads to the file that is held open here. Throws the system's error when that
   * cannot be told, which is no sign that the file is gone.
   */
  place(): Place {
    // Not through a symbolic link: SQLite puts the WAL of one beside its target.
    const named = lstatSync(this.path, { throwIfNoEntry: false });
    if (!named) return 'gone';
    return isSameFile(named, fstatSync(this.database)) ? 'here' : 'replaced';
  }

  /** Whether the name leads to it, as far as can be told: a file that a program removed, or replaced, is nothing to lead with. */
  get isInPlace(): boolean {
    try {
      return this.place() === 'here';
    } catch (error) {
      if (systemCodeOf(error) === undefined) throw error;
      return true;
    }
  }

  /** Of `-wal` and `-shm`, those whose names still lead to the files that are held open here. Throws the system's error. */
  companionsInPlace(): ('-wal' | '-shm')[] {
    const held = { '-wal': this.wal, '-shm': this.shm };
    return (['-wal', '-shm'] as const).filter((suffix) => {
      const named = lstatSync(this.path + suffix, { throwIfNoEntry: false });
      return named !== undefined && isSameFile(named, fstatSync(held[suffix]));
    });
  }

  databaseBytes(): number {
    return fstatSync(this.database).size;
  }

  walBytes(): number {
    return fstatSync(this.wal).size;
  }

  /** False when another process holds it, and once the files are closed. One user may take it again. */
  tryLock(lock: keyof typeof shmLock, length = 1, user: LockUser = 'node'): boolean {
    // The descriptor's number may be another file's by now.
    if (this.#closed || !this.#locks.tryExclusive(this.shm, shmLock[lock], length)) return false;
    const users = this.#held.get(lock);
    if (users) users.add(user);
    else this.#held.set(lock, new Set([user]));
    return true;
  }

  /** Ends the user's hold. Nothing is free while another has it. */
  unlock(lock: keyof typeof shmLock, length = 1, user: LockUser = 'node'): void {
    const users = this.#held.get(lock);
    users?.delete(user);
    if (this.#closed || (users && users.size > 0)) return;
    this.#held.delete(lock);
    this.#locks.unlock(this.shm, shmLock[lock], length);
  }

  /** Whether the lock was taken here, by whomever. */
  holds(lock: keyof typeof shmLock): boolean {
    return this.#held.has(lock);
  }

  /** Stands for the present hold of a lock: the same as long as it has not been given free; undefined without one. */
  holdOf(lock: keyof typeof shmLock): object | undefined {
    return this.#closed ? undefined : this.#held.get(lock);
  }

  /** SQLite first; with it as the last connection, this checkpoints and removes the WAL, as for any program. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.connection.close();
    closeSync(this.shm);
    closeSync(this.wal);
    closeSync(this.database);
  }
}

function isSameFile(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev;
}

function openInWalMode(path: string, name: string): DatabaseSync {
  let connection: DatabaseSync | undefined;
  try {
    // No time-out: SQLite would sleep in this thread, and every link of the node with it.
    connection = new DatabaseSync(path, { timeout: 0 });
    const mode = connection.prepare('PRAGMA journal_mode=WAL').get()?.journal_mode;
    if (mode !== 'wal') throw new Error(`the journal mode stayed ${String(mode)}`);
    // A first read recovers the WAL and writes the wal-index.
    connection.exec('BEGIN; SELECT count(*) FROM sqlite_schema; COMMIT');
    return connection;
  } catch (error) {
    connection?.close();
    const message = messageOf(error);
    if (/encrypted|not a database|malformed/.test(message)) {
      throw new SkeinError(
        'DATABASE_NOT_SQLITE',
        `${name} cannot be read as an SQLite database (${message}). Restore it from a copy, or move it out of the database directory.`,
        { cause: error },
      );
    }
    if (/readonly/.test(message)) {
      throw new SkeinError(
        'DIRECTORY_NOT_WRITABLE',
        `${name} cannot be written (${message}). Give this user the right to write the file and its directory.`,
        { cause: error },
      );
    }
    throw new SkeinError(
      'DATABASE_BUSY',
      `${name} could not be opened in WAL mode (${message}). Another program holds it in another journal mode or in a long transaction: end that, then start again.`,
      { cause: error },
    );
  }
}
