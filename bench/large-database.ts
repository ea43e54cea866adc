import { randomFillSync } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

const blobBytes = 64 * 1024;
/** Half of every 4 KiB is noise, half is the same again: it compresses to about half, as a typical database does. */
const patternBytes = 4096;

/** Makes a database of about `bytes` quickly, and without care for a crash. */
export function createLargeDatabase(path: string, bytes: number): void {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF');
  database.exec('CREATE TABLE blobs (id INTEGER PRIMARY KEY, body BLOB NOT NULL)');
  const insert = database.prepare('INSERT INTO blobs (body) VALUES (?)');
  const body = Buffer.alloc(blobBytes, 'skein');
  database.exec('BEGIN');
  for (let done = 0; done < bytes; done += blobBytes) {
    fillHalf(body);
    insert.run(body);
  }
  database.exec('COMMIT; PRAGMA journal_mode = WAL');
  database.close();
}

/** Changes one row in `every`, and with it that share of the pages. */
export function changeRows(path: string, every: number): void {
  const database = new DatabaseSync(path);
  const ids = database.prepare('SELECT id FROM blobs WHERE id % ? = 0').all(every);
  const update = database.prepare('UPDATE blobs SET body = ? WHERE id = ?');
  const body = Buffer.alloc(blobBytes, 'other');
  database.exec('BEGIN');
  for (const { id } of ids) {
    fillHalf(body);
    update.run(body, Number(id));
  }
  database.exec('COMMIT');
  database.close();
}

function fillHalf(body: Buffer): void {
  for (let at = 0; at < body.length; at += patternBytes) randomFillSync(body, at, patternBytes / 2);
}
