import { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '../base/errors.ts';

/** Before these, a checkpointer that races a WAL restart can lose commits: https://sqlite.org/wal.html#walresetbug */
const fixedIn: readonly (readonly [number, number, number])[] = [
  [3, 44, 6],
  [3, 50, 7],
  [3, 51, 3],
];

/** Whether this SQLite has the WAL reset fault mended: the mended patch of its own line, or any later line. */
export function hasWalResetFix(version: string): boolean {
  const [major, minor, patch] = version.split('.').map(Number);
  const sameLine = fixedIn.find((fixed) => fixed[0] === major && fixed[1] === minor);
  if (sameLine) return patch >= sameLine[2];
  return major > 3 || (major === 3 && minor > 51);
}

export function sqliteVersion(): string {
  const connection = new DatabaseSync(':memory:');
  const row = connection.prepare('SELECT sqlite_version() AS version').get();
  connection.close();
  return String(row?.version);
}

/** Throws `SQLITE_TOO_OLD` when the runtime's own SQLite has the WAL reset fault. */
export function requireSafeSqlite(version = sqliteVersion()): void {
  if (hasWalResetFix(version)) return;
  throw new SkeinError(
    'SQLITE_TOO_OLD',
    `This Node.js carries SQLite ${version}, which can lose commits when a checkpoint races a WAL restart. Use Node.js 24.15 or later (the one that npm ci brings is right).`,
  );
}
