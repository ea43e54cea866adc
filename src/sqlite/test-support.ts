import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { assert } from '../base/assert.ts';
import { SkeinError } from '../base/errors.ts';
import { DatabaseFiles } from './database-files.ts';
import type { PageSource } from './page-source.ts';
import type { WalIndexHeader } from './wal-index.ts';

export const pageSizes = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];

export function hasCode(code: SkeinError['code']): (error: unknown) => boolean {
  return (error) => error instanceof SkeinError && error.code === code;
}

/** A new database in WAL mode that never checkpoints by itself, closed after the test. */
export function newDatabase(context: TestContext, path: string, pageSize = 4096, setup = ''): DatabaseSync {
  const connection = new DatabaseSync(path);
  context.after(() => connection.isOpen && connection.close());
  connection.exec(`PRAGMA page_size=${pageSize}; ${setup}`);
  connection.exec('PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF');
  connection.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)');
  return connection;
}

export function openFiles(context: TestContext, path: string): DatabaseFiles {
  const files = new DatabaseFiles(path, 'test.db');
  files.connection.exec('PRAGMA wal_autocheckpoint=0');
  context.after(() => files.close());
  return files;
}

export function headerOf(files: DatabaseFiles): WalIndexHeader {
  const header = files.walIndex.header();
  assert(header, 'nobody writes the wal-index now');
  return header;
}

/** All pages as Skein reads them. */
export function sourcePages(source: PageSource): Buffer {
  const pages: Uint8Array[] = [];
  for (let page = 1; page <= source.commit; page += 1) pages.push(Uint8Array.from(source.page(page)));
  return Buffer.concat(pages);
}

/** All pages as SQLite reads them, in one read transaction. */
export function sqlitePages(connection: DatabaseSync): Buffer {
  return Buffer.from(connection.serialize());
}

const endMark = '-- end of answer --\n';
const answerMs = 20_000;

/** The `sqlite3` program with one database open: SQLite in another process. */
export class SqliteProgram {
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  #answered: (() => void) | undefined;

  private constructor(path: string) {
    // Errors go the same way as answers, so that they come in order.
    this.#child = spawn('sh', ['-c', 'exec sqlite3 -batch "$0" 2>&1', path]);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      if (this.#output.endsWith(endMark)) this.#answered?.();
    });
  }

  static start(context: TestContext, path: string): SqliteProgram {
    const program = new SqliteProgram(path);
    context.after(() => program.stop());
    return program;
  }

  /** What the program prints for the statements, errors included, without the last newline. */
  async run(sql: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#answered = resolve;
    const timer = setTimeout(() => reject(new Error(`no answer to: ${sql}`)), answerMs);
    this.#child.stdin.write(`${sql}\n.print ${JSON.stringify(endMark.trimEnd())}\n`);
    await promise.finally(() => clearTimeout(timer));
    const answer = this.#output.slice(0, -endMark.length).trimEnd();
    this.#output = '';
    return answer;
  }

  /** Ends it as a program ends: its connection is closed. */
  stop(): Promise<void> {
    return this.#end(() => this.#child.stdin.end());
  }

  kill(): Promise<void> {
    return this.#end(() => this.#child.kill('SIGKILL'));
  }

  async #end(ending: () => void): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    ending();
    await exited;
  }
}
