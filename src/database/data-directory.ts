import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { type ByteLocks, platformByteLocks } from '../sqlite/byte-locks.ts';

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

const hiddenName = '.skein';

/**
 * The directory of the app's databases, owned by one node at a time through a lock that ends with the process. Skein's
 * own files lie in `.skein` inside it.
 */
export class DataDirectory {
  readonly path: string;
  readonly hidden: string;
  readonly #lockFile: number;

  /** Throws `DIRECTORY_NOT_WRITABLE`, `LOCKS_UNSUPPORTED`, `DIRECTORY_IN_USE`. */
  constructor(path: string) {
    this.path = path;
    this.hidden = join(path, hiddenName);
    const locks = platformByteLocks();
    refuseNetwork(path);
    try {
      mkdirSync(join(this.hidden, 'log'), { recursive: true });
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
      this.#lockFile = openSync(join(this.hidden, 'lock'), 'a+');
    } catch (error) {
      throw new SkeinError(
        'DIRECTORY_NOT_WRITABLE',
        `The database directory ${path} cannot be written (${systemCodeOf(error) ?? messageOf(error)}). Create it, or give this user the right to write there, or set [database] dir to another one.`,
        { cause: error },
      );
    }
    this.#own(locks);
    // What an earlier run was receiving when it died is of no use to anybody.
    rmSync(join(this.hidden, 'tmp'), { recursive: true, force: true });
    mkdirSync(join(this.hidden, 'tmp'));
  }

  /** The names of all databases that have a first page, sorted. */
  databaseNames(): string[] {
    const names = readdirSync(this.path, { withFileTypes: true })
      .filter((entry) => isDatabaseName(entry.name) && (entry.isFile() || entry.isSymbolicLink()))
      .map((entry) => entry.name)
      .filter((name) => sizeOf(join(this.path, name)) > 0);
    return names.sort();
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

  close(): void {
    closeSync(this.#lockFile);
  }

  #own(locks: ByteLocks): void {
    if (!this.#tryLock(locks)) {
      const owner = readFileSync(this.#lockFile, 'utf8').trim();
      closeSync(this.#lockFile);
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
      closeSync(this.#lockFile);
      throw locksUnsupported(this.path, systemCodeOf(error) ?? messageOf(error));
    }
  }
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
