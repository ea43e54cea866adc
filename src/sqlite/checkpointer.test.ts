import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { Checkpointer } from './checkpointer.ts';
import { hasCode, headerOf, newDatabase, openFiles, SqliteProgram, sqlitePages } from './test-support.ts';

function startCheckpointer(t: TestContext): Checkpointer {
  const checkpointer = new Checkpointer();
  t.after(() => checkpointer.stop());
  return checkpointer;
}

test('all frames are in the database file after a checkpoint that nobody is in the way of', async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const files = openFiles(t, path);
  const checkpointer = startCheckpointer(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(500000))');
  const { maxFrame } = headerOf(files);
  const result = await checkpointer.checkpoint(path);
  assert.deepEqual([result.frames, result.moved], [maxFrame, maxFrame]);
  assert.equal(files.walIndex.backfilled(), maxFrame);
  assert.ok(readFileSync(path).equals(sqlitePages(app)));
});

test('frames that a reader may still need from the WAL stay there', {
  skip: skipWithout('sqlite3'),
}, async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const checkpointer = startCheckpointer(t);
  const reader = SqliteProgram.start(t, path);
  await reader.run('BEGIN; SELECT count(*) FROM t;');
  app.exec('INSERT INTO t VALUES (1, randomblob(50000))');
  const held = await checkpointer.checkpoint(path);
  assert.ok(held.moved < held.frames, `${held.moved} of ${held.frames}`);
  assert.equal(await reader.run('SELECT count(*) FROM t;'), '0');
  await reader.run('COMMIT;');
  const free = await checkpointer.checkpoint(path);
  assert.equal(free.moved, free.frames);
  assert.equal(await reader.run('SELECT count(*) FROM t;'), '1');
});

test('a checkpoint beside one that holds CKPT moves nothing and says so', async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  newDatabase(t, path);
  const files = openFiles(t, path);
  assert.ok(files.tryLock('checkpoint'));
  const result = await startCheckpointer(t).checkpoint(path);
  assert.equal(result.moved, -1);
  assert.equal(files.walIndex.backfilled(), 0);
});

test('requests for several databases at once are each answered', async (t) => {
  const directory = temporaryDirectory(t);
  const checkpointer = startCheckpointer(t);
  const paths = Array.from({ length: 8 }, (_, index) => join(directory, `${index}.db`));
  for (const path of paths) newDatabase(t, path);
  const results = await Promise.all(
    paths.flatMap((path) => [path, path]).map((path) => checkpointer.checkpoint(path)),
  );
  for (const { frames, moved } of results) assert.ok(frames > 0 && moved === frames);
  await Promise.all(paths.map((path) => checkpointer.release(path)));
});

test("the thread's connection does not outlive its release, and comes again when it is needed", async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  const checkpointer = startCheckpointer(t);
  await checkpointer.release(path);
  await checkpointer.checkpoint(path);
  await checkpointer.release(path);
  app.exec('PRAGMA journal_mode=DELETE');
  assert.equal(app.prepare('PRAGMA journal_mode').get()?.journal_mode, 'delete', 'only the last user may');
  app.exec('PRAGMA journal_mode=WAL; INSERT INTO t VALUES (1, 1)');
  assert.ok((await checkpointer.checkpoint(path)).moved > 0);
});

test('a file that SQLite refuses is an error of the request, and the thread goes on', async (t) => {
  const directory = temporaryDirectory(t);
  const checkpointer = startCheckpointer(t);
  const path = join(directory, 'noise.db');
  writeFileSync(path, 'not a database, '.repeat(100));
  await assert.rejects(checkpointer.checkpoint(path), hasCode('DATABASE_BUSY'));
  newDatabase(t, join(directory, 'a.db'));
  assert.ok((await checkpointer.checkpoint(join(directory, 'a.db'))).moved > 0);
});
