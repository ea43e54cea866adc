import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { skipWithout } from '../../test/tools.ts';
import { SqliteProgram } from '../sqlite/test-support.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import { follow, installFrom, pagesOf, scanOf, TestNode } from './test-support.ts';

const skip = skipWithout('sqlite3');

/** Resolves when a recycle that has begun is over. */
async function recycled(primary: PrimaryDatabase): Promise<void> {
  (await primary.pin()).release();
}

test('the WAL starts over again and again, and no commit is missed', async (t) => {
  const [node, copy] = [new TestNode(t, { recycleFrames: 40 }), new TestNode(t, { recycleFrames: 60 })];
  const app = node.app(t);
  const primary = await node.primary(t);
  const replica = await installFrom(t, primary, copy);
  follow(primary, replica);
  let restarts = 0;
  for (let round = 0; round < 120; round += 1) {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(12000))');
    if (round % 10 === 3) app.exec('DELETE FROM t WHERE id % 2 = 0; PRAGMA incremental_vacuum');
    const before = primary.walFrames;
    await primary.capture();
    if (primary.walFrames < before) restarts += 1;
    primary.recycleIfDue();
    if (round % 3 === 0) await recycled(primary);
    await replica.recycleIfDue();
    assert.deepEqual(replica.position, primary.position);
  }
  assert.ok(restarts >= 5, `${restarts} restarts`);
  assert.ok(replica.walFrames < 300, `${replica.walFrames} frames in the WAL of the replica`);
  assert.ok(pagesOf(primary.files).equals(pagesOf(replica.files)));
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
  assert.deepEqual([node.notices, copy.notices], [[], []]);
});

test('a writer in another process never fails and misses nothing while the WAL is recycled', {
  skip,
}, async (t) => {
  const [node, copy] = [new TestNode(t, { recycleFrames: 100 }), new TestNode(t)];
  node.app(t);
  const primary = await node.primary(t);
  const replica = await installFrom(t, primary, copy);
  follow(primary, replica);
  const program = SqliteProgram.start(t, node.file());
  await program.run('.timeout 10000\nPRAGMA synchronous=OFF;');
  let moved = 0;
  // How many recycles find room within a batch of writes depends on the disk.
  let batches = 0;
  for (; moved < 5 && batches < 20; batches += 1) {
    let writing = true;
    const writer = program
      .run('INSERT INTO t VALUES (NULL, randomblob(2000));\n'.repeat(2_000))
      .finally(() => {
        writing = false;
      });
    while (writing) {
      await primary.capture();
      primary.recycleIfDue();
      await recycled(primary);
      if (primary.lastRecycle?.kind === 'moved') moved += 1;
      // A round with nothing to do waits for nothing, and the writer's answer is read between rounds only.
      await setImmediate();
    }
    assert.equal(await writer, '');
  }
  await primary.capture();
  assert.ok(moved > 1, `${moved} recycles in ${batches} batches`);
  const rows = batches * 2_000;
  assert.equal(await program.run('SELECT count(*) FROM t; PRAGMA integrity_check;'), `${rows}\nok`);
  assert.equal(primary.position.txid, rows + 1);
  assert.deepEqual(replica.position, primary.position);
  assert.ok(pagesOf(primary.files).equals(pagesOf(replica.files)));
});

test('a reader of an old snapshot holds a recycle up, which is reported, and loses nothing', {
  skip,
}, async (t) => {
  const node = new TestNode(t, { recycleFrames: 10 });
  const app = node.app(t);
  const primary = await node.primary(t);
  const reader = SqliteProgram.start(t, node.file());
  await reader.run('BEGIN; SELECT count(*) FROM t;');
  app.exec('INSERT INTO t VALUES (1, randomblob(100000))');
  await primary.capture();
  primary.recycleIfDue();
  await recycled(primary);
  assert.equal(primary.lastRecycle?.kind, 'held-up');
  assert.match(node.notices.join(), /could not be recycled/);
  const frames = primary.walFrames;
  app.exec('INSERT INTO t VALUES (2, randomblob(100000))');
  assert.equal(await primary.capture(), 1);
  assert.ok(primary.walFrames > frames, 'the WAL grew on');
  assert.equal(await reader.run('SELECT count(*) FROM t;'), '0');
  await reader.run('COMMIT;');
  primary.recycleIfDue();
  await recycled(primary);
  assert.equal(primary.lastRecycle?.kind, 'moved');
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
});

test('an open write transaction holds no recycle up, and the writer finishes', { skip }, async (t) => {
  const node = new TestNode(t, { recycleFrames: 10 });
  const app = node.app(t);
  const primary = await node.primary(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(100000))');
  await primary.capture();
  const writer = SqliteProgram.start(t, node.file());
  await writer.run('BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 2);');
  primary.recycleIfDue();
  await recycled(primary);
  assert.equal(primary.lastRecycle?.kind, 'moved');
  assert.equal(await writer.run('COMMIT;'), '');
  assert.equal(await primary.capture(), 1);
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
});

test('after a recycle the app still cannot checkpoint', { skip }, async (t) => {
  const node = new TestNode(t, { recycleFrames: 1 });
  const app = node.app(t);
  const primary = await node.primary(t);
  app.exec('INSERT INTO t VALUES (1, 1)');
  await primary.capture();
  primary.recycleIfDue();
  await recycled(primary);
  assert.equal(primary.lastRecycle?.kind, 'moved');
  const program = SqliteProgram.start(t, node.file());
  assert.match(await program.run('PRAGMA wal_checkpoint(TRUNCATE);'), /^1\|/);
  assert.equal(await program.run('INSERT INTO t VALUES (2, 2);'), '');
  assert.equal(await primary.capture(), 1);
});
