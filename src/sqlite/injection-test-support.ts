import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { assert } from '../base/assert.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import type { DatabaseFiles } from './database-files.ts';
import { newDatabase, openFiles, sqlitePages } from './test-support.ts';
import { WalInjector } from './wal-injector.ts';

/**
 * A database that SQLite writes, and a copy of it that only an injector writes. `ship` brings the copy to the state of
 * the original by one transaction.
 */
export class InjectedCopy {
  readonly original: DatabaseSync;
  readonly copyPath: string;
  readonly files: DatabaseFiles;
  readonly injector: WalInjector;
  readonly pageSize: number;
  /** What the copy holds. */
  pages: Buffer;

  constructor(context: TestContext, pageSize: number, setup = '') {
    const directory = temporaryDirectory(context);
    this.pageSize = pageSize;
    this.original = newDatabase(context, join(directory, 'original.db'), pageSize, setup);
    this.pages = sqlitePages(this.original);
    this.copyPath = join(directory, 'copy.db');
    writeFileSync(this.copyPath, this.pages);
    this.files = openFiles(context, this.copyPath);
    assert(this.files.tryLock('write'), 'nobody else writes');
    this.injector = new WalInjector(this.files);
  }

  /** Adds the pages that differ, and those that `also` names, without the commit. Returns the pages that will be there. */
  add(also: (page: number) => boolean = () => false): { next: Buffer; commit: number; last: () => void } {
    const next = sqlitePages(this.original);
    const { pageSize } = this;
    const commit = next.length / pageSize;
    const differing: number[] = [];
    for (let page = 1; page <= commit; page += 1) {
      const [start, end] = [(page - 1) * pageSize, page * pageSize];
      const differs = end > this.pages.length || next.compare(this.pages, start, end, start, end) !== 0;
      if (differs || also(page)) differing.push(page);
    }
    const lastPage = differing.pop() ?? 1;
    const data = (page: number) => next.subarray((page - 1) * pageSize, page * pageSize);
    for (const page of differing) this.injector.addPage(page, data(page), 0);
    return { next, commit, last: () => this.injector.addPage(lastPage, data(lastPage), commit) };
  }

  ship(also?: (page: number) => boolean): void {
    const { next, commit, last } = this.add(also);
    last();
    this.injector.commit(commit);
    this.pages = next;
  }

  /** By SQLite in this process; true when all frames are in the file. */
  checkpoint(): boolean {
    const row = this.files.connection.prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
    return row?.busy === 0 && row?.log === row?.checkpointed;
  }
}

export const contentQuery = 'SELECT id, hex(v) FROM t ORDER BY id';

/** What `contentQuery` prints in the `sqlite3` program. */
export function contentOf(connection: DatabaseSync): string {
  const rows = connection.prepare(contentQuery).all();
  return rows.map((row) => Object.values(row).join('|')).join('\n');
}
