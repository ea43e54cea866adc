import { closeSync, createWriteStream, fsync, linkSync, lstatSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { isDatabaseName } from '../database/data-directory.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import { databaseKind } from '../sqlite/database-files.ts';
import { integrityProblem } from '../sqlite/integrity-check.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import type { Replication } from './replication.ts';

/** Pages that the backup copies at a time; it is one write transaction however many steps it takes. */
const backupPages = 4096;
/** How long an import waits for a program's write transaction. */
const lockTimeoutMs = 5_000;
const lockRetryMs = 20;
const sync = promisify(fsync);

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
      if (systemCodeOf(error) !== 'ENOSPC' && !/disk is full/.test(messageOf(error))) throw error;
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
    if (!(await this.#putInPlace(received, path))) {
      if (isEmptyFile(path, name)) await patiently(name, () => startEmpty(received, path));
      // Opened by the node before anything of the import's has it open: a descriptor that another part of the process opens
      // and closes meanwhile would take SQLite's locks with it.
      await replication.rescan();
      await patiently(name, () => replication.currentPosition(name));
      await copyInto(received, path, name);
    }
    await replication.rescan();
    return replication.currentPosition(name);
  }

  /** A new database needs no copying. False when the name is taken: a program may have the file open, however empty it is. */
  async #putInPlace(received: string, path: string): Promise<boolean> {
    await syncFile(received);
    if (lstatSync(path, { throwIfNoEntry: false })) return false;
    for (const suffix of ['-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
    try {
      linkSync(received, path);
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') return false;
      throw error;
    }
    await syncFile(this.#directory().path);
    return true;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = openSync(path, 'r');
  try {
    await sync(file);
  } finally {
    closeSync(file);
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

function isEmptyFile(path: string, name: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status?.isFile()) return status.size === 0;
  throw new SkeinError(
    'USAGE',
    `${name} is not a file in the database directory but a link or a folder. Remove it, or import under another name.`,
  );
}

/** Makes an empty file a database without tables, whose pages are as large as those that come. */
async function startEmpty(received: string, path: string): Promise<void> {
  const source = new DatabaseSync(received);
  const pageSize = pageSizeOf(source);
  source.close();
  const target = new DatabaseSync(path);
  try {
    target.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL`);
  } finally {
    target.close();
  }
}

function pageSizeOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA page_size').get()?.page_size);
}

async function copyInto(received: string, path: string, name: string): Promise<void> {
  const pageSize = await patiently(name, async () => {
    const target = new DatabaseSync(path, { readOnly: true });
    try {
      return pageSizeOf(target);
    } finally {
      target.close();
    }
  });
  let source = new DatabaseSync(received);
  try {
    if (pageSizeOf(source) !== pageSize) {
      // In WAL mode a database keeps its page size for ever, so what comes in takes it on.
      source.exec(`PRAGMA journal_mode=DELETE; PRAGMA page_size=${pageSize}; VACUUM`);
      source.close();
      source = new DatabaseSync(received);
    }
    await patiently(name, () => backup(source, path, { rate: backupPages }));
  } finally {
    source.close();
  }
}

/** SQLite answers at once that a database is locked, `backup` by "not an error"; a time-out of its own would stop the thread. */
async function patiently<T>(name: string, attempt: () => Promise<T>): Promise<T> {
  const untilMs = monotonicMs() + lockTimeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const message = messageOf(error);
      if (!/locked|busy|not an error/.test(message)) throw error;
      if (monotonicMs() < untilMs) {
        await sleep(lockRetryMs);
        continue;
      }
      throw new SkeinError(
        'DATABASE_BUSY',
        `${name} could not be replaced: another program holds a write transaction (${message}). Nothing was changed; try again.`,
        { cause: error },
      );
    }
  }
}
