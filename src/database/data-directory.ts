import {
  accessSync,
  closeSync,
  constants,
  type Dirent,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { type ByteLocks, platformByteLocks } from '../sqlite/byte-locks.ts';
import { requireSqlite } from '../sqlite/database-files.ts';
import { hiddenDirectoryOf } from './hidden-directory.ts';

/** File systems of other machines, by the `f_type` that statfs(2) lists; their locks or shared memory cannot be trusted. */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
]);

/** There from an orderly stop to the next start. */
const stoppedMark = 'stopped';
/** Which start of the machine the last node ran under. */
const bootName = 'boot';

/**
 * The directory of the app's databases, owned by one node at a time through a lock that ends with the process. Skein's
 * own files lie in `.skein` inside it.
 */
export class DataDirectory {
  readonly path: string;
  readonly hidden: string;
  /**
   * Whether the machine itself went down under the last node here. Only then can a database have lost transactions that
   * the log still has (a power cut under `synchronous=NORMAL`); after any other end, what differs is newer.
   */
  readonly machineWentDown: boolean;
  readonly #lockFile: number;
  #isProven = false;

  /**
   * Throws `DIRECTORY_NOT_WRITABLE`, `LOCKS_UNSUPPORTED`, `DIRECTORY_IN_USE`, and what `requireSqlite` does of a file that no
   * node had here before. What is wrong with the others is for the node's role to deal with.
   */
  constructor(path: string, locks: ByteLocks = platformByteLocks()) {
    this.path = path;
    this.hidden = hiddenDirectoryOf(path);
    refuseNetwork(path);
    // All files before anything is changed: a start that is refused leaves the directory as it was.
    for (const name of databaseNamesIn(path)) {
      if (!hasLog(this.hidden, name)) requireSqlite(join(path, name), name);
    }
    let made: string | undefined;
    try {
      made = mkdirSync(join(this.hidden, 'log'), { recursive: true });
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
      this.#lockFile = openSync(join(this.hidden, 'lock'), 'a+');
    } catch (error) {
      throw new SkeinError(
        'DIRECTORY_NOT_WRITABLE',
        `The database directory ${path} cannot be written (${systemCodeOf(error) ?? messageOf(error)}). Create it, or give this user the right to write there, or set [database] dir to another one.`,
        { cause: error },
      );
    }
    try {
      this.#own(locks);
    } catch (error) {
      closeSync(this.#lockFile);
      // A start that is refused leaves nothing.
      if (made !== undefined) rmSync(made, { recursive: true, force: true });
      throw error;
    }
    const mark = join(this.hidden, stoppedMark);
    const boot = join(this.hidden, bootName);
    const lastBoot = existsSync(boot) ? readFileSync(boot, 'utf8') : undefined;
    const thisBoot = bootId();
    this.machineWentDown =
      !existsSync(mark) && lastBoot !== undefined && thisBoot !== undefined && lastBoot !== thisBoot;
    // What an earlier run was receiving when it died is of no use to anybody.
    rmSync(join(this.hidden, 'tmp'), { recursive: true, force: true });
    mkdirSync(join(this.hidden, 'tmp'));
  }

  /** The names of all databases that have a first page, sorted. */
  databaseNames(): string[] {
    return databaseNamesIn(this.path);
  }

  /** Symbolic links that are named like databases, sorted. They are left out: SQLite puts the WAL beside the target. */
  linkNames(): string[] {
    return entriesOf(this.path, (entry) => entry.isSymbolicLink());
  }

  /** Whether a node has had a database of this name here: its file is Skein's to fetch anew. */
  hasLog(name: string): boolean {
    return hasLog(this.hidden, name);
  }

  /** The databases that have a log here, whether or not their file still exists. */
  loggedNames(): string[] {
    return readdirSync(join(this.hidden, 'log')).filter(isDatabaseName).sort();
  }

  /** Whether the path still leads to the directory that this node owns, and not to nothing or to a fresh mount. */
  isStillInPlace(): boolean {
    const named = statSync(join(this.hidden, 'lock'), { throwIfNoEntry: false });
    const held = fstatSync(this.#lockFile);
    return named?.ino === held.ino && named.dev === held.dev;
  }

  removeLog(name: string): void {
    rmSync(join(this.hidden, 'log', name), { recursive: true, force: true });
  }

  /** Says that all databases are proven: before that, an end counts as the one before it did. */
  markStarted(): void {
    this.#isProven = true;
    const thisBoot = bootId();
    if (thisBoot !== undefined) writeFileSync(join(this.hidden, bootName), thisBoot);
    rmSync(join(this.hidden, stoppedMark), { force: true });
  }

  /** Says that everything was captured and closed. */
  markStopped(): void {
    if (!this.#isProven) return;
    closeSync(openSync(join(this.hidden, stoppedMark), 'w'));
  }

  close(): void {
    closeSync(this.#lockFile);
  }

  #own(locks: ByteLocks): void {
    if (!this.#tryLock(locks)) {
      const owner = readFileSync(this.#lockFile, 'utf8').trim();
      throw new SkeinError(
        'DIRECTORY_IN_USE',
        `The database directory ${this.path} belongs to a node that is running${owner ? ` (process ${owner})` : ''}. Stop that one, or give this node a directory of its own by [database] dir.`,
      );
    }
    const second = openSync(join(this.hidden, 'lock'), 'a+');
    const lockedTwice = locks.tryExclusive(second, 0);
    closeSync(second);
    if (lockedTwice) throw locksUnsupported(this.path, 'a byte that is locked can be locked again');
    writeOwner(join(this.hidden, 'lock'), process.pid);
  }

  #tryLock(locks: ByteLocks): boolean {
    try {
      return locks.tryExclusive(this.#lockFile, 0);
    } catch (error) {
      throw locksUnsupported(this.path, systemCodeOf(error) ?? messageOf(error));
    }
  }
}

/** Linux's name for this start of the machine; undefined elsewhere. Tests set their own. */
function bootId(): string | undefined {
  const forTest = process.env.SKEIN_TEST_BOOT_ID;
  if (forTest !== undefined) return forTest;
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

function databaseNamesIn(path: string): string[] {
  return entriesOf(path, (entry) => entry.isFile()).filter((name) => sizeOf(join(path, name)) > 0);
}

function entriesOf(path: string, isWanted: (entry: Dirent) => boolean): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => isDatabaseName(entry.name) && isWanted(entry))
    .map((entry) => entry.name)
    .sort();
}

/** A log that was never given a position is an empty directory, and stands for no database. */
function hasLog(hidden: string, name: string): boolean {
  const directory = join(hidden, 'log', name);
  return existsSync(directory) && readdirSync(directory).length > 0;
}

/** Whether a file of this name in the directory is a database to replicate. */
export function isDatabaseName(name: string): boolean {
  return name.endsWith('.db') && !name.startsWith('.') && name.length > 3 && name.length <= 200;
}

/** The process id is for the message to whoever comes second; the lock alone decides. */
function writeOwner(path: string, pid: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, `${pid}\n`.padEnd(12), 0);
  closeSync(file);
}

function refuseNetwork(path: string): void {
  let type: number;
  try {
    type = statfsSync(path).type;
  } catch {
    // It does not exist yet: it is made on its parent's file system, whose locks are tried out below.
    return;
  }
  const name = networkFileSystems.get(type >>> 0);
  if (name) throw locksUnsupported(path, `it lies on a network file system (${name})`);
}

function locksUnsupported(path: string, why: string): SkeinError {
  return new SkeinError(
    'LOCKS_UNSUPPORTED',
    `SQLite's locks do not work in ${path}: ${why}. Set [database] dir to a directory on a disk of this machine.`,
  );
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
