import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openLostDirectory } from './hidden-directory.ts';

/** Whole files of one database's name that were set aside; the oldest goes first. */
const filesMax = 2;
const asideName = /^-\d{13}\.db$/;

/**
 * Moves a file that cannot be copied page by page, with the WAL or journal that belongs to it, to `.skein/lost`. Returns its
 * new path. Throws the system's error. Nothing of Skein's has the file open.
 */
export function setAside(hiddenDirectory: string, path: string, name: string, nowMs: number): string {
  const directory = openLostDirectory(hiddenDirectory);
  const aside = join(directory, `${name}-${String(Math.trunc(nowMs)).padStart(13, '0')}.db`);
  // The file last: a crash in between leaves all of it in two places, while a WAL without its file would be deleted.
  for (const suffix of ['-wal', '-journal']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  renameSync(path, aside);
  rmSync(`${path}-shm`, { force: true });
  dropOldest(directory, name, aside);
  return aside;
}

/** Moves the WAL of a database file that is no longer there to `.skein/lost`; one is kept. Returns its new path. */
export function setWalAside(hiddenDirectory: string, path: string, name: string): string {
  const aside = join(openLostDirectory(hiddenDirectory), `${name}-replaced-wal`);
  renameSync(`${path}-wal`, aside);
  return aside;
}

/** What was set aside a moment ago stays, whatever the clock says. */
function dropOldest(directory: string, name: string, newest: string): void {
  const others = readdirSync(directory)
    // Of exactly this database: `a.db-` also begins the names of what is kept of `a.db-x.db`.
    .filter((file) => file.startsWith(name) && asideName.test(file.slice(name.length)))
    .map((file) => join(directory, file))
    .filter((path) => path !== newest)
    // When it got its name here; the file may not have been written to for long.
    .map((path) => ({ path, keptAtMs: statSync(path).ctimeMs }))
    .sort((one, other) => other.keptAtMs - one.keptAtMs);
  for (const { path } of others.slice(filesMax - 1)) {
    for (const suffix of ['', '-wal', '-journal']) rmSync(path + suffix, { force: true });
  }
}
