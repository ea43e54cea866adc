import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { stateDifference } from './state-difference.ts';

type Pair = { readonly sql: string; readonly now: string; readonly lost: string };

/** Two databases that were one until `base`, and the SQL that leads from one to the other. */
function difference(t: TestContext, base: string, lostSql: string, nowSql: string): Pair {
  const directory = temporaryDirectory(t);
  const [lost, now] = [join(directory, 'lost.db'), join(directory, 'now.db')];
  for (const [path, own] of [
    [lost, lostSql],
    [now, nowSql],
  ]) {
    const database = new DatabaseSync(path);
    database.exec(base);
    database.exec(own);
    database.close();
  }
  return { sql: differenceOf(lost, now), now, lost };
}

function differenceOf(lost: string, now: string): string {
  const connection = new DatabaseSync(lost, { readOnly: true });
  connection.prepare('ATTACH ? AS now').run(now);
  connection.exec('BEGIN');
  const sql = [...stateDifference(connection)].join('');
  connection.close();
  return `BEGIN;\n${sql}COMMIT;\n`;
}

/** Applies it by the program that people use, and returns what is different then. */
function apply({ sql, now, lost }: Pair): string {
  const { status, stderr } = spawnSync('sqlite3', ['-batch', '-bail', now], { input: sql, encoding: 'utf8' });
  assert.equal(stderr, '', sql);
  assert.equal(status, 0);
  return differenceOf(lost, now);
}

/** The statements, without the comments. */
function statements(sql: string): string[] {
  return sql.split('\n').filter((line) => line !== '' && !line.startsWith('--'));
}

const nothing = ['BEGIN;', 'COMMIT;'];

test('lost rows are inserted, changed ones updated in what changed only, with what is there now', (t) => {
  const pair = difference(
    t,
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', 3)",
    "INSERT INTO t VALUES (4, 'lost', 9223372036854775807); UPDATE t SET a = 'changed' WHERE id = 2; DELETE FROM t WHERE id = 3",
    "INSERT INTO t VALUES (9, 'newer', 1); UPDATE t SET b = 2.0 WHERE id = 1",
  );
  assert.deepEqual(statements(pair.sql), [
    'BEGIN;',
    `UPDATE "t" SET "b" = 1 WHERE "id" = 1;`,
    `UPDATE "t" SET "a" = 'changed' WHERE "id" = 2;`,
    `INSERT INTO "t" ("id", "a", "b") VALUES (4, 'lost', 9223372036854775807);`,
    'COMMIT;',
  ]);
  assert.match(pair.sql, /-- now: "a" = 'y'\n/);
  assert.match(pair.sql, /-- Only in the current database, .*: "id" = 3\n/);
  assert.match(pair.sql, /-- Only in the current database, .*: "id" = 9\n/);
  assert.deepEqual(statements(apply(pair)), nothing);
});

for (const [what, base, rows] of [
  [
    'every type of value',
    'CREATE TABLE t(id INTEGER PRIMARY KEY, v)',
    `
    INSERT INTO t(v) VALUES (NULL), (-9223372036854775808), (9007199254740993), (9e999), (-9e999), (1.0), (0.1), (1e300), (X'00ff'),
    (X''), (''), ('it''s'), ('two
lines' || char(13, 0, 27) || 'end'), (CAST(X'c328' AS TEXT)), ('ü😀'), (zeroblob(5000))`,
  ],
  [
    'a composite key without rowid',
    'CREATE TABLE t(a TEXT, b BLOB, v, PRIMARY KEY (b, a)) WITHOUT ROWID',
    `
    INSERT INTO t VALUES ('x', X'01', 1), ('it''s', X'02', NULL)`,
  ],
  ['no primary key', 'CREATE TABLE t(v)', "INSERT INTO t VALUES ('same'), ('same'), (NULL)"],
  [
    'columns named like the rowid',
    'CREATE TABLE t(rowid, "_rowid_", v)',
    "INSERT INTO t VALUES (7, 8, 'x'), (7, 8, 'x')",
  ],
  [
    'NULL in its key',
    'CREATE TABLE t(a PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1)',
    'INSERT INTO t VALUES (NULL, 2), (3, 4)',
  ],
  [
    'a key that ignores case',
    "CREATE TABLE t(a TEXT COLLATE NOCASE PRIMARY KEY, v); INSERT INTO t VALUES ('b', 1)",
    "UPDATE t SET a = 'B'; INSERT INTO t VALUES ('A', 1)",
  ],
  [
    'generated columns',
    'CREATE TABLE t(a INTEGER PRIMARY KEY, v, g AS (v * 2), s AS (v + 1) STORED)',
    'INSERT INTO t(v) VALUES (5), (6)',
  ],
  [
    'odd names',
    'CREATE TABLE "or""der; --\n.exit"(" " INTEGER PRIMARY KEY, "select""\n" TEXT)',
    `INSERT INTO "or""der; --\n.exit" VALUES (1, 'x')`,
  ],
  [
    'a strict table with AUTOINCREMENT',
    'CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, r REAL, n ANY) STRICT',
    "INSERT INTO t(r, n) VALUES (3, '3'), (0.5, 3)",
  ],
  [
    'many columns',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, ${Array.from({ length: 600 }, (_, index) => `c${index}`).join(', ')})`,
    'INSERT INTO t(id, c599) VALUES (1, 1)',
  ],
  ['UTF-16', "PRAGMA encoding='UTF-16le'; CREATE TABLE t(v)", "INSERT INTO t VALUES ('ü😀''\n'), (char(0))"],
] as const) {
  test(`a table with ${what} is as it was after the SQL was applied`, (t) => {
    const pair = difference(t, base, rows, '');
    assert.ok(statements(pair.sql).length > 2, pair.sql);
    assert.deepEqual(statements(apply(pair)), nothing);
  });
}

test('virtual tables are left out with all that belongs to them, and so is what SQLite keeps for itself', (t) => {
  const base = `CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE VIRTUAL TABLE words USING fts5(v);
    CREATE VIRTUAL TABLE area USING rtree(id, x1, x2); CREATE INDEX i ON t(v)`;
  const pair = difference(
    t,
    base,
    "INSERT INTO words VALUES ('lost'); INSERT INTO area VALUES (1, 2, 3); INSERT INTO t(v) VALUES (1); ANALYZE",
    '',
  );
  assert.deepEqual(statements(pair.sql), ['BEGIN;', 'INSERT INTO "t" ("id", "v") VALUES (1, 1);', 'COMMIT;']);
  assert.match(pair.sql, /-- "words" is a virtual table/);
  assert.doesNotMatch(pair.sql, /words_|area_|sqlite_/);
});

test('what differs in the schema is said with the statements, and the rows of what both have are compared', (t) => {
  const pair = difference(
    t,
    'CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE gone(v); CREATE TABLE k(a PRIMARY KEY, b)',
    `ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (1, 2, 3); CREATE TABLE mine(v);
     INSERT INTO mine VALUES ('two' || char(10) || 'lines'); CREATE INDEX i ON t(a); CREATE VIEW w AS SELECT 1`,
    'DROP TABLE gone; CREATE TABLE theirs(v); CREATE VIEW w AS SELECT 2; DROP TABLE k; CREATE TABLE k(a, b PRIMARY KEY)',
  );
  assert.deepEqual(statements(pair.sql), ['BEGIN;', 'INSERT INTO "t" ("id", "a") VALUES (1, 2);', 'COMMIT;']);
  for (const said of [
    '-- CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);\n-- Now:\n-- CREATE TABLE t(id INTEGER PRIMARY KEY, a);',
    '-- Table "mine" is only in the kept state.',
    '-- CREATE TABLE mine(v);\n-- INSERT INTO "mine" ("v") VALUES (replace(',
    '-- Table "gone" is only in the kept state.',
    '-- "theirs" is only in the current database.',
    '-- Only in the kept state:\n-- CREATE INDEX i ON t(a);',
    '-- In the kept state:\n-- CREATE VIEW w AS SELECT 1;\n-- Now:\n-- CREATE VIEW w AS SELECT 2;',
    '-- "k" has nothing by which the rows of both could be compared.',
  ])
    assert.ok(pair.sql.includes(said), `${said}\n\nin\n${pair.sql}`);
  assert.deepEqual(statements(apply(pair)), nothing);
});

test('of many rows that only the current database has, some are named and the others counted', (t) => {
  const series =
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i FROM n';
  const pair = difference(t, 'CREATE TABLE t(id INTEGER PRIMARY KEY)', '', series);
  assert.deepEqual(statements(pair.sql), nothing);
  assert.match(pair.sql, /-- and 480 rows more\n/);
});
