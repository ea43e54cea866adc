import {
  closeSync,
  createWriteStream,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { isDatabaseName } from '../database/data-directory.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import { databaseKind } from '../sqlite/database-files.ts';
import { integrityProblem } from '../sqlite/integrity-check.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import type { Replication } from './replication.ts';

/** Pages that the backup copies at a time; it is one write transaction however many steps it takes. */
const backupPages = 4096;

/**
 * POST /import?name=: the body replaces a database, or becomes a new one. It is received, checked and only then copied by
 * SQLite's own backup, as one transaction that apps see like any other and that is replicated like any other.
 */
export class ImportRoute {
  readonly #replication: () => Replication;
  readonly #directory: () => { readonly path: string; readonly hidden: string };
  #running = false;

  constructor(
    replication: () => Replication,
    directory: () => { readonly path: string; readonly hidden: string },
  ) {
    this.#replication = replication;
    this.#directory = directory;
  }

  async answer({ request, response, query }: ApiRequest): Promise<void> {
    const name = query.get('name');
    if (!name) throw new SkeinError('USAGE', 'name required: POST /import?name=app.db');
    if (!isDatabaseName(name) || /[/\\\0]/.test(name)) {
      throw new SkeinError(
        'USAGE',
        `${JSON.stringify(name)} cannot name a database: it has to end in .db and holds no slash.`,
      );
    }
    const replication = this.#replication();
    if (replication.role !== 'primary') {
      throw new SkeinError('NOT_PRIMARY', 'This node only reads. Import on the primary.');
    }
    if (this.#running)
      throw new SkeinError('DATABASE_BUSY', 'An import runs already. Try again when it is done.');
    this.#running = true;
    const received = join(this.#directory().hidden, 'tmp', `${name}.import`);
    try {
      await pipeline(request, createWriteStream(received));
      const position = await this.#takeOver(replication, name, received);
      sendJson(response, 200, { position: formatPosition(position) });
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOSPC') throw error;
      throw new SkeinError('DISK_FULL', `There is no room for the import of ${name}. Nothing was changed.`, {
        cause: error,
      });
    } finally {
      for (const suffix of ['', '-wal', '-shm', '-journal', '.pages'])
        rmSync(received + suffix, { force: true });
      this.#running = false;
    }
  }

  async #takeOver(replication: Replication, name: string, received: string): Promise<Position> {
    await requireSound(received, name);
    const path = join(this.#directory().path, name);
    if (!existsSync(path) || statSync(path).size === 0) {
      const file = openSync(received, 'r');
      fsyncSync(file);
      closeSync(file);
      for (const suffix of ['-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
      renameSync(received, path);
      const directory = openSync(this.#directory().path, 'r');
      fsyncSync(directory);
      closeSync(directory);
      await replication.rescan();
    } else {
      await copyInto(received, path, name);
    }
    return replication.currentPosition(name);
  }
}

async function requireSound(received: string, name: string): Promise<void> {
  const kind = databaseKind(received);
  const what = {
    empty: 'is empty',
    encrypted: 'looks encrypted',
    other: 'is not an SQLite database',
    sqlite: undefined,
  }[kind];
  const problem = what ?? (await integrityProblem(received));
  if (problem === undefined) return;
  throw new SkeinError(
    'IMPORT_INVALID',
    `What was sent for ${name} ${what ?? `is damaged (${problem})`}. Nothing was changed.`,
  );
}

async function copyInto(received: string, path: string, name: string): Promise<void> {
  const target = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const pageSize = Number(target.prepare('PRAGMA page_size').get()?.page_size);
  target.close();
  let source = new DatabaseSync(received);
  try {
    if (Number(source.prepare('PRAGMA page_size').get()?.page_size) !== pageSize) {
      // In WAL mode a database keeps its page size for ever, so what comes in takes it on.
      source.exec(`PRAGMA journal_mode=DELETE; PRAGMA page_size=${pageSize}; VACUUM`);
      source.close();
      source = new DatabaseSync(received);
    }
    await backup(source, path, { rate: backupPages });
  } catch (error) {
    throw new SkeinError(
      'DATABASE_BUSY',
      `${name} could not be replaced (${messageOf(error)}). Another program holds a write transaction: try again.`,
      { cause: error },
    );
  } finally {
    source.close();
  }
}
