import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

const directory = process.env.SKEIN_DIR ?? process.env.LITEFS_DIR ?? '.';

/** The one database file of this app. */
export const databasePath = join(directory, 'cities.db');

/** Opens the database, and creates the file when there is none: for the release command only. */
export function createDatabase(): DatabaseSync {
  const database = new DatabaseSync(databasePath, { timeout: 5000 });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  return database;
}

/**
 * Opens the database as soon as the release command has filled it. The file may lie on a node that can only
 * read, so nothing is created here: opening a file that does not exist would make an empty one.
 */
export async function openDatabase(options: {
  timeoutMs: number;
  signal: AbortSignal;
}): Promise<DatabaseSync> {
  let waits = 0;
  while (!options.signal.aborted) {
    const database = openLoaded(options.timeoutMs);
    if (database) return database;
    waits += 1;
    if (waits === 10) console.log(`waiting for ${databasePath} to be loaded`);
    await delay(100, undefined, { signal: options.signal });
  }
  throw options.signal.reason;
}

function openLoaded(timeoutMs: number): DatabaseSync | undefined {
  if (!existsSync(databasePath)) return undefined;
  const database = new DatabaseSync(databasePath, { timeout: timeoutMs });
  if (isLoaded(database)) {
    database.exec('PRAGMA synchronous = NORMAL');
    return database;
  }
  database.close();
  return undefined;
}

/** True once the places are in: they come with their tables in one transaction. */
export function isLoaded(database: DatabaseSync): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'places'").get() !== undefined;
}

/** The node that leads now, which Skein and LiteFS write beside the database of every other; undefined while none is known. */
export function primaryNode(): string | undefined {
  try {
    return readFileSync(join(directory, '.primary'), 'utf8').trim();
  } catch {
    return undefined;
  }
}

const sqliteBusy = 5;
const sqliteReadOnly = 8;

/** True for the errors of a write where another node, or another process, has the write lock. */
export function isRefusedWrite(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false;
  // The upper bits say why in more detail.
  const code = error.errcode & 0xff;
  return code === sqliteBusy || code === sqliteReadOnly;
}
