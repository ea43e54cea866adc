import assert from 'node:assert/strict';
import type { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { sqlitePages } from '../sqlite/test-support.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { follow, installFrom, pagesOf, scanOf, TestNode } from './test-support.ts';

/** Pages byte for byte, checksums as if every page were read anew, one position. */
async function checkEqual(
  app: DatabaseSync,
  primary: PrimaryDatabase,
  replica: ReplicaDatabase,
): Promise<void> {
  const pages = pagesOf(primary.files);
  assert.ok(pages.equals(sqlitePages(app)), 'what the engine reads is what SQLite reads');
  assert.ok(pages.equals(pagesOf(replica.files)), 'the replica has the same pages');
  assert.ok(pages.equals(sqlitePages(replica.files.connection)), 'and SQLite reads them there');
  assert.deepEqual(replica.position, primary.position);
  const scanned = await scanOf(primary.files);
  assert.equal(primary.position.checksum, scanned.checksum);
  assert.deepEqual(replica.pageChecksums(), scanned.encode());
}

const row = fc.integer({ min: 1, max: 40 });
const bytes = fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 500, max: 60_000 }));
const statement = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(row, bytes)
      .map(([id, n]) => `INSERT OR REPLACE INTO t VALUES (${id}, randomblob(${n}))`),
  },
  { weight: 2, arbitrary: row.map((id) => `DELETE FROM t WHERE id >= ${id}`) },
  {
    weight: 2,
    arbitrary: row.map((id) => `UPDATE t SET v = zeroblob(length(v) + 7) WHERE id % 5 = ${id % 5}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('VACUUM', 'DELETE FROM t', 'PRAGMA incremental_vacuum(3)') },
  { weight: 1, arbitrary: fc.constantFrom('CREATE INDEX IF NOT EXISTS i ON t(v)', 'DROP INDEX IF EXISTS i') },
);
const transaction = fc
  .tuple(
    fc.array(
      statement.filter((sql) => sql !== 'VACUUM'),
      { minLength: 2, maxLength: 5 },
    ),
    fc.boolean(),
  )
  .map(([sql, keep]) => `BEGIN; ${sql.join('; ')}; ${keep ? 'COMMIT' : 'ROLLBACK'}`);
/** What is captured at once: several transactions, some taken back. */
const someBatch = fc.array(fc.oneof(statement, transaction), { minLength: 1, maxLength: 6 });

async function pair(t: TestContext, setup: string) {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t, setup);
  const primary = await one.primary(t);
  const replica = await installFrom(t, primary, two);
  const link = follow(primary, replica);
  return { one, two, app, primary, replica, link };
}

test('after every capture of any workload the replica is the primary byte for byte', async (t) => {
  const someCase = fc.record({
    pageSize: fc.constantFrom(512, 1024, 4096, 65536),
    autoVacuum: fc.constantFrom('NONE', 'FULL', 'INCREMENTAL'),
    cachePages: fc.constantFrom(5, 2000),
    batches: fc.array(someBatch, { minLength: 1, maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(someCase, async ({ pageSize, autoVacuum, cachePages, batches }) => {
      const setup = `PRAGMA page_size=${pageSize}; PRAGMA auto_vacuum=${autoVacuum}; PRAGMA cache_size=${cachePages}`;
      const { one, two, app, primary, replica } = await pair(t, setup);
      await checkEqual(app, primary, replica);
      for (const batch of batches) {
        for (const sql of batch) app.exec(sql);
        await primary.capture();
        await checkEqual(app, primary, replica);
      }
      assert.deepEqual([one.notices, two.notices], [[], []]);
      app.close();
      await primary.close();
      await replica.close();
    }),
    { numRuns: 25 },
  );
});

test('pages that go and come back within one capture are all shipped', async (t) => {
  const { app, primary, replica } = await pair(t, 'PRAGMA auto_vacuum=FULL');
  app.exec('INSERT INTO t VALUES (1, randomblob(400000))');
  await primary.capture();
  for (const size of [400_000, 300_000, 500_000, 4_096]) {
    app.exec('DELETE FROM t');
    app.exec(`INSERT INTO t VALUES (1, zeroblob(${size}))`);
    await primary.capture();
    await checkEqual(app, primary, replica);
  }
  app.exec('DELETE FROM t; VACUUM');
  app.exec(
    'INSERT INTO t VALUES (1, randomblob(900000)), (2, randomblob(10)); DELETE FROM t WHERE id = 1; VACUUM',
  );
  await primary.capture();
  await checkEqual(app, primary, replica);
});

test('a transaction larger than the cache, half written and taken back, is not seen', async (t) => {
  const { app, primary, replica, link } = await pair(t, 'PRAGMA page_size=1024; PRAGMA cache_size=5');
  app.exec('BEGIN; INSERT INTO t VALUES (1, randomblob(3000000))');
  assert.ok(primary.files.walBytes() > 1_000_000, 'pages were spilled into the WAL');
  assert.equal(await primary.capture(), 0);
  app.exec('ROLLBACK; INSERT INTO t VALUES (2, randomblob(100))');
  assert.equal(await primary.capture(), 1);
  await checkEqual(app, primary, replica);
  app.exec('BEGIN; INSERT INTO t VALUES (3, randomblob(3000000)); COMMIT');
  assert.equal(await primary.capture(), 1);
  await checkEqual(app, primary, replica);
  assert.equal(link.batches, 2);
});

test('the TXID counts the commits of the app, however they are captured', async (t) => {
  const { app, primary, replica } = await pair(t, '');
  const first = primary.position.txid;
  let commits = 0;
  for (const size of [1, 1, 7, 100, 3]) {
    for (let index = 0; index < size; index += 1) app.exec("INSERT INTO t VALUES (NULL, 'a')");
    commits += size;
    assert.equal(await primary.capture(), size);
    assert.equal(primary.position.txid, first + commits);
    assert.deepEqual(replica.position, primary.position);
  }
  app.exec('BEGIN; SELECT * FROM t; COMMIT; BEGIN IMMEDIATE; ROLLBACK');
  assert.equal(await primary.capture(), 0);
});
