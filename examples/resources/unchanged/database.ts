import Database from 'better-sqlite3';

/** The one connection of this process. */
export const database = new Database(process.env.DATABASE_PATH ?? 'resources.db');
database.pragma('journal_mode = WAL');
database.pragma('synchronous = NORMAL');
