import { join } from 'node:path';
import Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { guard } from 'skein/client';
import { Queue } from '../queue.ts';

const connection = guard(new Database(join(process.env.SKEIN_DIR ?? '.', 'resources.db')));
connection.pragma('journal_mode = WAL');
connection.pragma('synchronous = NORMAL');

export const database = drizzle(connection);

/** Jobs to count the words of a resource. */
export const counting = new Queue<{ id: number }>(connection, 'counting');
