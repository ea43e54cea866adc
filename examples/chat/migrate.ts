// The release command: makes the table, once, on the primary, before anything else runs.

import { createDatabase } from './messages.ts';

const database = createDatabase();
database.exec(`CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  region TEXT NOT NULL,
  text TEXT NOT NULL,
  sent_ms INTEGER NOT NULL,
  written_in TEXT NOT NULL
) STRICT`);
database.close();
console.log('the table is there');
