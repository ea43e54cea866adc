import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { TestCluster } from './support/test-cluster.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '150' };
const many = (count: number) =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

type Step = readonly string[];

/** Runs each step, and checks after each that all nodes are byte-equal. */
async function replicates(
  t: TestContext,
  path: string,
  cluster: TestCluster,
  steps: readonly Step[],
): Promise<void> {
  const app = new SqlConnection(t, path);
  for (const step of steps) {
    for (const sql of step) await app.run(sql);
    await assertInStep(cluster);
  }
  await app.close();
  await assertInStep(cluster);
}

test('databases of every page size grow and shrink byte-equal', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  for (const pageSize of [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]) {
    await replicates(t, cluster.primary.path(`page${pageSize}.db`), cluster, [
      [
        `PRAGMA page_size=${pageSize}`,
        'PRAGMA journal_mode=WAL',
        'CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)',
      ],
      [`${many(300)} INSERT INTO t (body) SELECT randomblob(900) FROM n`],
      ['DELETE FROM t WHERE id % 3 > 0', 'VACUUM'],
      ['INSERT INTO t (body) VALUES (randomblob(70000))'],
    ]);
    assert.equal(
      await sqlite3(cluster.replica.path(`page${pageSize}.db`), 'PRAGMA page_size'),
      String(pageSize),
    );
  }
});

test('auto_vacuum, full and incremental, cuts files off at the same page everywhere', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  for (const mode of ['FULL', 'INCREMENTAL']) {
    const name = `${mode.toLowerCase()}.db`;
    await replicates(t, cluster.primary.path(name), cluster, [
      [
        `PRAGMA auto_vacuum=${mode}`,
        'PRAGMA journal_mode=WAL',
        'CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)',
      ],
      [`${many(400)} INSERT INTO t (body) SELECT randomblob(3000) FROM n`],
      ['DELETE FROM t WHERE id > 100', 'PRAGMA incremental_vacuum(50)'],
      ['DELETE FROM t WHERE id > 50', 'PRAGMA incremental_vacuum'],
      // A shrink and a growth, captured together or apart.
      [
        'DELETE FROM t',
        'PRAGMA incremental_vacuum',
        `${many(200)} INSERT INTO t (body) SELECT randomblob(3000) FROM n`,
      ],
    ]);
  }
});

test('WITHOUT ROWID, FTS5, generated columns, blobs and strict tables come through', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  await replicates(t, cluster.primary.path('app.db'), cluster, [
    [
      'CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID',
      'CREATE VIRTUAL TABLE f USING fts5(body)',
      'CREATE TABLE s (a INTEGER, b TEXT AS (a || 1) STORED) STRICT',
    ],
    [
      `${many(2000)} INSERT INTO w SELECT hex(randomblob(8)), i FROM n`,
      `${many(500)} INSERT INTO f SELECT 'word' || i || ' flock of geese ' || hex(randomblob(20)) FROM n`,
      `${many(500)} INSERT INTO s (a) SELECT i FROM n`,
    ],
    ["INSERT INTO f(f) VALUES ('optimize')", 'DELETE FROM w WHERE v % 2', 'CREATE INDEX w_v ON w (v)'],
    [
      'CREATE TABLE blob (body BLOB)',
      'INSERT INTO blob VALUES (zeroblob(5000000))',
      'UPDATE blob SET body = randomblob(5000000)',
    ],
    ['DROP TABLE f', 'DROP TABLE blob', 'VACUUM'],
  ]);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT count(*) FROM w'), '1000');
});

test('a transaction of a hundred megabytes, its shrink and its VACUUM arrive whole', { skip }, async (t) => {
  const cluster = await TestCluster.start(t);
  await replicates(t, cluster.primary.path('app.db'), cluster, [
    ['PRAGMA journal_mode=WAL', 'CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)'],
    ['BEGIN', `${many(100)} INSERT INTO t (body) SELECT randomblob(1000000) FROM n`, 'COMMIT'],
    ['DELETE FROM t WHERE id > 10'],
    ['VACUUM'],
  ]);
});

test('databases that the app creates and deletes while all runs come and go on replicas', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment, replicas: 2 });
  for (let round = 0; round < 3; round += 1) {
    for (const name of ['one.db', 'two.db']) {
      const app = new SqlConnection(t, cluster.primary.path(name));
      await app.run('PRAGMA journal_mode=WAL');
      await app.run(`CREATE TABLE round${round} (x)`);
      await app.run(`INSERT INTO round${round} VALUES (randomblob(10000))`);
      await app.close();
    }
    await assertInStep(cluster);
    for (const suffix of ['', '-wal', '-shm'])
      rmSync(cluster.primary.path(`one.db${suffix}`), { force: true });
    for (const node of cluster.nodes) {
      await waitFor(`one.db to be gone from ${node.name}`, () => !existsSync(node.path('one.db')), {
        state: () => node.tail(),
      });
    }
    await assertInStep(cluster);
  }
  for (const node of cluster.nodes) assert.deepEqual(Object.keys((await node.state()).databases), ['two.db']);
});

test('a database that is replaced by another file under its name becomes that one everywhere', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  await sqlite3(path, 'PRAGMA journal_mode=WAL', 'CREATE TABLE old (x)');
  await assertInStep(cluster);
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  await sqlite3(path, 'PRAGMA page_size=1024', 'PRAGMA journal_mode=WAL', 'CREATE TABLE fresh (x)');
  await waitFor('the replica to have the new file', async () => {
    const names = await sqlite3(cluster.replica.path('app.db'), 'SELECT name FROM sqlite_schema').catch(
      () => '',
    );
    return names === 'fresh';
  });
  await assertInStep(cluster);
});

test('a database that begins in another journal mode, or empty, is replicated once it is one', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t, { environment });
  const app = new SqlConnection(t, cluster.primary.path('app.db'));
  await app.run('PRAGMA journal_mode=DELETE');
  await app.run('CREATE TABLE t (x)');
  await assertInStep(cluster);
  await app.run('INSERT INTO t VALUES (1)');
  await app.close();
  await assertInStep(cluster);
  assert.equal(await sqlite3(cluster.replica.path('app.db'), 'SELECT x FROM t'), '1');
});
