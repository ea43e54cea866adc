import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { contentOf, contentQuery, InjectedCopy } from './injection-test-support.ts';
import { PageSource } from './page-source.ts';
import { headerOf, newDatabase, openFiles, SqliteProgram, sourcePages, sqlitePages } from './test-support.ts';
import { addWalChecksum, decodeWalHeader, encodeWalHeader, frameOffset } from './wal-format.ts';
import { WalInjector } from './wal-injector.ts';

const skip = skipWithout('sqlite3');

type Step =
  | { readonly kind: 'sql'; readonly sql: string }
  | { readonly kind: 'rollback' | 'restart' | 'foreign-checkpoint' | 'reopen' };

const row = fc.integer({ min: 1, max: 30 });
const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(row, fc.integer({ min: 0, max: 20_000 })).map(([id, bytes]): Step => {
      return { kind: 'sql', sql: `INSERT OR REPLACE INTO t VALUES (${id}, randomblob(${bytes}))` };
    }),
  },
  { weight: 2, arbitrary: row.map((id): Step => ({ kind: 'sql', sql: `DELETE FROM t WHERE id > ${id}` })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'sql', sql: 'VACUUM' }) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom('rollback', 'restart', 'foreign-checkpoint', 'reopen')
      .map((kind): Step => ({ kind }) as Step),
  },
);

/** Adds half a transaction and takes it back. */
function rollBack(copy: InjectedCopy): void {
  copy.original.exec('BEGIN; UPDATE t SET v = randomblob(3000)');
  copy.add((page) => page % 2 === 0);
  copy.injector.rollback();
  copy.original.exec('ROLLBACK');
}

async function take(copy: InjectedCopy, step: Step, program: SqliteProgram): Promise<void> {
  if (step.kind === 'sql') {
    copy.original.exec(step.sql);
    copy.ship((page) => page % 7 === 0);
  } else if (step.kind === 'rollback') {
    rollBack(copy);
  } else if (step.kind === 'restart') {
    const moved = copy.checkpoint();
    const { maxFrame } = copy.injector;
    assert.equal(copy.injector.tryRestart(), moved && maxFrame > 0);
  } else if (step.kind === 'foreign-checkpoint') {
    assert.match(await program.run('PRAGMA wal_checkpoint(PASSIVE);'), /^0\|(\d+)\|\1$/);
  } else {
    assert.equal(new WalInjector(copy.files).maxFrame, copy.injector.maxFrame);
  }
}

/** SQLite here, SQLite in another process, and SQLite's own recovery all see exactly the original. */
async function check(copy: InjectedCopy, program: SqliteProgram): Promise<void> {
  assert.ok(sqlitePages(copy.files.connection).equals(copy.pages), 'SQLite in this process');
  assert.ok(
    sourcePages(new PageSource(copy.files, headerOf(copy.files))).equals(copy.pages),
    'our own reader',
  );
  assert.equal(
    await program.run(`PRAGMA integrity_check; ${contentQuery};`),
    `ok\n${contentOf(copy.original)}`.trimEnd(),
  );
}

function checkRecovery(copy: InjectedCopy): void {
  const recovered = join(dirname(copy.copyPath), 'recovered.db');
  for (const suffix of ['', '-wal']) copyFileSync(copy.copyPath + suffix, recovered + suffix);
  const connection = new DatabaseSync(recovered);
  assert.ok(sqlitePages(connection).equals(copy.pages), 'after recovery from the WAL alone');
  connection.close();
}

test('after every injected transaction all SQLites see exactly the original', { skip }, async (t) => {
  const someCase = fc.record({
    pageSize: fc.constantFrom(512, 1024, 4096, 65536),
    autoVacuum: fc.constantFrom('NONE', 'FULL'),
    steps: fc.array(someStep, { minLength: 5, maxLength: 25 }),
  });
  await fc.assert(
    fc.asyncProperty(someCase, async ({ pageSize, autoVacuum, steps }) => {
      const copy = new InjectedCopy(t, pageSize, `PRAGMA auto_vacuum=${autoVacuum}`);
      const program = SqliteProgram.start(t, copy.copyPath);
      for (const step of steps) {
        await take(copy, step, program);
        await check(copy, program);
      }
      checkRecovery(copy);
      await program.stop();
      copy.files.close();
    }),
    { numRuns: 25 },
  );
});

test('transactions of thousands of pages cross the blocks of the wal-index', { skip }, async (t) => {
  const copy = new InjectedCopy(t, 512);
  const program = SqliteProgram.start(t, copy.copyPath);
  const sizes = [2_070_000, 30_000, 10, 2_100_000, 400];
  for (const [index, bytes] of sizes.entries()) {
    copy.original.exec(`INSERT INTO t VALUES (${index}, randomblob(${bytes}))`);
    copy.ship();
    assert.ok(sqlitePages(copy.files.connection).equals(copy.pages));
    assert.equal(await program.run('PRAGMA integrity_check;'), 'ok');
  }
  assert.ok(copy.injector.maxFrame > 8_158, `${copy.injector.maxFrame} frames`);
  checkRecovery(copy);
  assert.equal(
    await program.run('PRAGMA wal_checkpoint(PASSIVE);'),
    `0|${copy.injector.maxFrame}|${copy.injector.maxFrame}`,
  );
  assert.ok(readFileSync(copy.copyPath).equals(copy.pages));
  assert.equal(copy.injector.tryRestart(), true);
  copy.original.exec('UPDATE t SET v = randomblob(100)');
  copy.ship();
  await check(copy, program);
  checkRecovery(copy);
});

test('every commit near the end of a block of the wal-index is found by readers', (t) => {
  const copy = new InjectedCopy(t, 512);
  copy.original.exec('INSERT INTO t VALUES (1, randomblob(2050000)), (2, randomblob(100))');
  copy.ship();
  while (copy.injector.maxFrame < 4_080) {
    copy.original.exec('UPDATE t SET v = randomblob(100) WHERE id = 2');
    copy.ship();
    assert.ok(sqlitePages(copy.files.connection).equals(copy.pages), `frame ${copy.injector.maxFrame}`);
  }
  assert.ok(copy.injector.maxFrame > 4_062);
  checkRecovery(copy);
});

test('entries that a dead writer left beyond the last commit are gone with the next', (t) => {
  for (const bytes of [3_000, 2_200_000]) {
    const copy = new InjectedCopy(t, 512);
    copy.original.exec(`INSERT INTO t VALUES (1, randomblob(${bytes}))`);
    copy.add();
    // Written out but never committed, as by a process that was killed: no rollback.
    const next = new WalInjector(copy.files);
    copy.original.exec('DELETE FROM t; INSERT INTO t VALUES (2, randomblob(20000))');
    const pages = sqlitePages(copy.original);
    for (let page = 1; page <= pages.length / 512; page += 1) {
      const commit = page === pages.length / 512 ? page : 0;
      next.addPage(page, pages.subarray((page - 1) * 512, page * 512), commit);
    }
    next.commit(pages.length / 512);
    assert.ok(sqlitePages(copy.files.connection).equals(pages));
  }
});

test('a WAL from a machine of the other byte order is continued in its own', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path, 512);
  app.exec('INSERT INTO t VALUES (1, randomblob(5000))');
  const pages = sqlitePages(app);
  const foreign = join(dirname(path), 'foreign.db');
  copyFileSync(path, foreign);
  writeForeignWal(`${path}-wal`, `${foreign}-wal`);
  const files = openFiles(t, foreign);
  assert.equal(headerOf(files).bigEndian, true);
  assert.ok(sourcePages(new PageSource(files, headerOf(files))).equals(pages));
  const injector = new WalInjector(files);
  const data = pages.subarray(512, 1024);
  injector.addPage(2, data, pages.length / 512);
  injector.commit(pages.length / 512);
  copyFileSync(`${foreign}-wal`, join(dirname(path), 'recovered.db-wal'));
  copyFileSync(foreign, join(dirname(path), 'recovered.db'));
  const recovered = openFiles(t, join(dirname(path), 'recovered.db'));
  assert.equal(headerOf(recovered).maxFrame, injector.maxFrame, 'recovery took the injected frame too');
});

/** The same WAL as if a big-endian machine had written it. */
function writeForeignWal(from: string, to: string): void {
  const wal = Buffer.from(readFileSync(from));
  const checksum = { first: 0, second: 0 };
  const header = decodeWalHeader(wal);
  encodeWalHeader({ ...header, bigEndian: true }, checksum).copy(wal);
  for (let at = frameOffset(1, header.pageSize); at < wal.length; at += 24 + header.pageSize) {
    addWalChecksum(checksum, wal, at, at + 8, true);
    addWalChecksum(checksum, wal, at + 24, at + 24 + header.pageSize, true);
    wal.writeUInt32BE(checksum.first, at + 16);
    wal.writeUInt32BE(checksum.second, at + 20);
  }
  writeFileSync(to, wal);
}
