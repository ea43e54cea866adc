import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keepLost } from '../database/lost-entry.ts';
import { TestNode } from '../database/test-support.ts';

const skein = fileURLToPath(new URL('../../bin/skein', import.meta.url));

function run(node: TestNode, ...words: string[]) {
  const temporary = join(node.path, 'temporary');
  mkdirSync(temporary, { recursive: true });
  const { stdout, stderr, status } = spawnSync(skein, ['lost', ...words, `--database-dir=${node.path}`], {
    cwd: temporary,
    env: { PATH: process.env.PATH, TMPDIR: temporary },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { stdout, stderr, status, left: readdirSync(temporary) };
}

/** A node that kept a state with two rows, of which its database then has neither as it was. */
async function diverged(t: TestContext): Promise<{ node: TestNode; id: string; app: DatabaseSync }> {
  const node = new TestNode(t);
  const app = node.app(t);
  app.exec("INSERT INTO t VALUES (1, 'shared')");
  const primary = await node.primary(t);
  await primary.capture();
  const from = primary.position;
  app.exec("INSERT INTO t VALUES (2, 'lost'); UPDATE t SET v = 'changed' WHERE id = 1");
  await primary.capture();
  const pin = await primary.pin();
  const { log } = primary.parts;
  const state = { database: 'a.db', node: 'one', nodeId: 7n, epoch: 3, log, reason: 'a test' };
  const range = { from, isCertain: true };
  const { id } = await keepLost(node.directory.hidden, pin, { ...state, range });
  pin.release();
  app.exec(
    "DELETE FROM t WHERE id = 2; UPDATE t SET v = 'shared' WHERE id = 1; INSERT INTO t VALUES (3, 'newer')",
  );
  return { node, id, app };
}

test('what show prints brings the lost rows back, and nothing else changes', async (t) => {
  const { node, id, app } = await diverged(t);
  const { stdout, stderr, status, left } = run(node, 'show', id);
  assert.deepEqual({ stderr, status, left }, { stderr: '', status: 0, left: [] });
  assert.match(stdout, /^-- a\.db-\S+: a\.db of node one, epoch 3, kept at /);
  const applied = spawnSync('sqlite3', ['-batch', '-bail', node.file()], { input: stdout, encoding: 'utf8' });
  assert.deepEqual([applied.stderr, applied.status], ['', 0]);
  const rows = app.prepare('SELECT id, v FROM t ORDER BY id').all();
  assert.deepEqual(
    rows.map(({ id: key, v }) => [key, v]),
    [
      [1, 'changed'],
      [2, 'lost'],
      [3, 'newer'],
    ],
  );
});

test('list tells of every entry, for people and for programs', async (t) => {
  const { node, id } = await diverged(t);
  const lines = run(node, 'list').stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/).slice(0, 4)),
    [
      ['id', 'database', 'transactions', 'epoch'],
      [id, 'a.db', '2', '3'],
    ],
  );
  const { entries } = JSON.parse(run(node, 'list', '--json').stdout);
  assert.equal(entries.length, 1);
  assert.deepEqual(
    [entries[0].id, entries[0].isRangeCertain, entries[0].directory],
    [id, true, join(node.directory.hidden, 'lost', id)],
  );
  assert.deepEqual(readdirSync(entries[0].directory).filter((name) => name.endsWith('.ltx')).length, 2);
  assert.equal(run(new TestNode(t), 'list').stdout, 'Nothing was lost.\n');
});

test('export writes the kept state as a database, and replaces an older file whole', async (t) => {
  const { node, id } = await diverged(t);
  const path = join(node.path, 'copy');
  writeFileSync(path, 'old');
  const { stderr, status } = run(node, 'export', id, path);
  assert.match(stderr, /^a\.db: \S+ KiB in \S+copy\n$/);
  assert.equal(status, 0);
  const copy = new DatabaseSync(path);
  assert.equal(copy.prepare('SELECT v FROM t WHERE id = 2').get()?.v, 'lost');
  copy.close();
  assert.deepEqual(run(node, 'export', id).left, [`${id}.db`]);
});

test('a damaged state, an unknown id and a wrong command line are refused in one line', async (t) => {
  const { node, id } = await diverged(t);
  const refusals = [
    [['show'], /^skein: Which entry\? .*\[USAGE\]\n$/, 2],
    [['show', id, 'more'], /^skein: Unexpected argument "more"\. .*\[USAGE\]\n$/, 2],
    [['show', 'none'], new RegExp(`^skein: .*has no entry "none".*${id}\\. \\[LOST_NOT_FOUND\\]\n$`), 1],
    [['export', 'none'], /\[LOST_NOT_FOUND\]\n$/, 1],
    [['export', id, node.path], /is a directory.*\[USAGE\]\n$/, 2],
    [['list', id], /\[USAGE\]\n$/, 2],
  ] as const;
  for (const [words, message, code] of refusals) {
    const { stdout, stderr, status } = run(node, ...words);
    assert.match(stderr, message);
    assert.deepEqual([stdout, status], ['', code]);
  }
  const state = join(node.directory.hidden, 'lost', id, 'state.ltx');
  const bytes = readFileSync(state);
  bytes[200] ^= 1;
  writeFileSync(state, bytes);
  const { stderr, status, left } = run(node, 'export', id, 'copy');
  assert.match(stderr, /\[LTX_INVALID\]\n$/);
  assert.deepEqual([status, left], [1, []]);
  assert.match(run(node, 'show', id).stderr, /\[LTX_INVALID\]\n$/);
});

test('of a database that is not there any more, show says that all of it is in the entry', async (t) => {
  const { node, id, app } = await diverged(t);
  app.close();
  const moved = join(node.path, 'elsewhere');
  mkdirSync(moved);
  const other = new TestNode(t, {}, moved);
  mkdirSync(join(other.directory.hidden, 'lost'));
  spawnSync('cp', ['-r', join(node.directory.hidden, 'lost', id), join(other.directory.hidden, 'lost', id)]);
  const { stdout, status } = run(other, 'show', id);
  assert.match(stdout, /a\.db is not there: all of the state was lost\.\n$/);
  assert.equal(status, 0);
  assert.equal(existsSync(join(moved, 'a.db')), false);
});
