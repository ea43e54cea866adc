// The release command: brings the tables to the newest form. Run again, it does nothing.

import { database } from './database.ts';

const migrations = [
  `CREATE TABLE resources (
     id INTEGER PRIMARY KEY,
     title TEXT NOT NULL,
     text TEXT NOT NULL,
     downloaded_in TEXT NOT NULL,
     words INTEGER,
     counted_in TEXT
   ) STRICT;
   CREATE TABLE downloads (
     id INTEGER PRIMARY KEY,
     resource_id INTEGER NOT NULL,
     began_at TEXT NOT NULL
   ) STRICT;`,
  `CREATE TABLE jobs (
     id INTEGER PRIMARY KEY,
     queue TEXT NOT NULL,
     data TEXT NOT NULL,
     run_at INTEGER NOT NULL,
     attempts INTEGER NOT NULL DEFAULT 0,
     done_at INTEGER,
     error TEXT
   ) STRICT;
   CREATE INDEX jobs_waiting ON jobs (queue, run_at) WHERE done_at IS NULL;`,
];

const version = database.pragma('user_version', { simple: true }) as number;
for (const [index, sql] of migrations.entries()) {
  if (index < version) continue;
  database.transaction(() => {
    database.exec(sql);
    database.pragma(`user_version = ${index + 1}`);
  })();
  console.log(`migrated to version ${index + 1}`);
}
