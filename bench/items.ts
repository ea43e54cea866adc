import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** The table that all measures write to and read from, and its one database. */
export const databaseName = 'items.db';

export type Synchronous = 'NORMAL' | 'FULL';

const busyTimeoutMs = 5_000;
const bodyBytes = 88;

/** Opens as an app would: WAL mode, a busy timeout, SQLite's own automatic checkpoints. */
export function openItems(path: string, synchronous: Synchronous = 'NORMAL'): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
  database.exec('CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, body TEXT NOT NULL)');
  return database;
}

/** Inserts one row of about 100 bytes; outside a transaction it is one. */
export function insertItem(database: DatabaseSync): (id: number) => void {
  const statement: StatementSync = database.prepare('INSERT INTO items (id, body) VALUES (?, ?)');
  return (id) => {
    statement.run(id, String(id * 2_654_435_761).padStart(bodyBytes, 'skein '));
  };
}

/** The same with the next free id, which it returns: over all nodes, ids then have no holes. */
export function insertNextItem(database: DatabaseSync): () => number {
  const statement: StatementSync = database.prepare('INSERT INTO items (body) VALUES (?)');
  const body = 'skein '.repeat(bodyBytes).slice(0, bodyBytes);
  return () => Number(statement.run(body).lastInsertRowid);
}

/** A database with `count` rows, its WAL checkpointed and gone. */
export function createItems(path: string, count: number): void {
  const database = openItems(path);
  const insert = insertItem(database);
  database.exec('BEGIN');
  for (let id = 1; id <= count; id += 1) insert(id);
  database.exec('COMMIT');
  database.close();
}

export function countItems(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  try {
    return Number(database.prepare('SELECT count(*) AS count FROM items').get()?.count);
  } finally {
    database.close();
  }
}
