// The release command: Drizzle's own migrations, those that are new.

import { join } from 'node:path';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { database } from './database.ts';

migrate(database, { migrationsFolder: join(import.meta.dirname, 'migrations') });
console.log('migrated');
