import {
  closeSync,
  existsSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { TimeSlice } from '../base/time-slice.ts';
import { formatChecksum, formatTxid } from '../ltx/position.ts';
import type { PinnedPages } from './pinned-state.ts';

const sync = promisify(fsync);

/** Copies of one database that are kept, and whole files that were set aside; the oldest goes first. */
const copiesMax = 2;
const copyName = /^-[0-9a-f]{16}-[0-9a-f]{16}\.db$/;
const asideName = /^-\d{13}\.db$/;
const partName = /^-[0-9a-f]{16}-[0-9a-f]{16}\.db\.part$/;

/**
 * Writes a state of a database to a file in `.skein/lost`, before another state takes its place: what only this node
 * has is for a person to look at. Returns the file's path. Throws `DISK_FULL` or the system's error; nothing is there then.
 */
export async function keepCopy(hiddenDirectory: string, name: string, pinned: PinnedPages): Promise<string> {
  const directory = lostDirectory(hiddenDirectory);
  // A process that died while it copied left the piece that it had.
  for (const part of filesOf(directory, name, partName)) rmSync(join(directory, part), { force: true });
  const { source, position } = pinned;
  // Looked at first: a copy that fills the disk and then fails would stop the app's other writers for nothing.
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize < source.commit * source.pageSize) throw noRoom(name, directory);
  const path = join(
    directory,
    `${name}-${formatTxid(position.txid)}-${formatChecksum(position.checksum)}.db`,
  );
  const part = `${path}.part`;
  try {
    await writePages(part, pinned);
  } catch (error) {
    rmSync(part, { force: true });
    throw systemCodeOf(error) === 'ENOSPC' ? noRoom(name, directory, error) : error;
  }
  renameSync(part, path);
  // The original goes next, and must not be on its way out of the disk before the copy's name is on it.
  await syncDirectory(directory);
  dropOldest(directory, name, copyName, path);
  return path;
}

/**
 * Moves a file that cannot be copied page by page, with the WAL or journal that belongs to it, to `.skein/lost`. Returns its
 * new path. Throws the system's error. Nothing of Skein's has the file open.
 */
export function setAside(hiddenDirectory: string, path: string, name: string, nowMs: number): string {
  const directory = lostDirectory(hiddenDirectory);
  const aside = join(directory, `${name}-${String(Math.trunc(nowMs)).padStart(13, '0')}.db`);
  // The file last: a crash in between leaves all of it in two places, while a WAL without its file would be deleted.
  for (const suffix of ['-wal', '-journal']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  renameSync(path, aside);
  rmSync(`${path}-shm`, { force: true });
  dropOldest(directory, name, asideName, aside);
  return aside;
}

/** Moves the WAL of a database file that is no longer there to `.skein/lost`; one is kept. Returns its new path. */
export function setWalAside(hiddenDirectory: string, path: string, name: string): string {
  const aside = join(lostDirectory(hiddenDirectory), `${name}-replaced-wal`);
  renameSync(`${path}-wal`, aside);
  return aside;
}

function lostDirectory(hiddenDirectory: string): string {
  const directory = join(hiddenDirectory, 'lost');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Files of exactly this database: `a.db-` also begins the names of what is kept of `a.db-x.db`. */
function filesOf(directory: string, name: string, rest: RegExp): string[] {
  return readdirSync(directory).filter((file) => file.startsWith(name) && rest.test(file.slice(name.length)));
}

/** By age and not by TXID, which begins anew with a new chain. What was kept a moment ago stays, whatever the clock says. */
function dropOldest(directory: string, name: string, rest: RegExp, newest: string): void {
  const others = filesOf(directory, name, rest)
    .map((file) => join(directory, file))
    .filter((path) => path !== newest)
    // When it got its name here; a file that was set aside may not have been written to for long.
    .map((path) => ({ path, keptAtMs: statSync(path).ctimeMs }))
    .sort((one, other) => other.keptAtMs - one.keptAtMs);
  for (const { path } of others.slice(copiesMax - 1)) {
    for (const suffix of ['', '-wal', '-journal']) rmSync(path + suffix, { force: true });
  }
}

function noRoom(name: string, directory: string, cause?: unknown): SkeinError {
  return new SkeinError(
    'DISK_FULL',
    `The disk has no room for a copy of ${name} in ${directory}, without which this node's state is not replaced by the primary's. Free some space, or remove old copies there; it goes on by itself.`,
    { cause },
  );
}

async function syncDirectory(path: string): Promise<void> {
  const directory = openSync(path, 'r');
  try {
    await sync(directory);
  } finally {
    closeSync(directory);
  }
}

async function writePages(path: string, { source }: PinnedPages): Promise<void> {
  const file = openSync(path, 'w');
  try {
    const slice = new TimeSlice();
    for (let page = 1; page <= source.commit; page += 1) {
      if (page === source.lockPage) continue;
      const data = source.page(page);
      const offset = (page - 1) * source.pageSize;
      for (let done = 0; done < data.length; ) {
        done += writeSync(file, data, done, data.length - done, offset + done);
      }
      if (slice.isOver) await slice.yield();
    }
    await sync(file);
  } finally {
    closeSync(file);
  }
}
