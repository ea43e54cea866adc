import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import { hasCode, SqliteProgram, sourcePages } from '../sqlite/test-support.ts';
import { scanChecksums } from './checksum-scan.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import { databaseName, follow, installFrom, pagesOf, scanOf, TestNode } from './test-support.ts';

async function assertProven(primary: PrimaryDatabase): Promise<void> {
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
}

test('a database that is new to Skein begins at TXID 1', async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  assert.equal(primary.position.txid, 1);
  await assertProven(primary);
  assert.equal(readFileSync(`${node.file()}-pos`, 'utf8'), `${formatPosition(primary.position)}\n`);
  assert.deepEqual(node.notices, []);
});

test('after a clean stop the position is proven and goes on', async (t) => {
  for (const appStaysOpen of [true, false]) {
    const node = new TestNode(t);
    const app = node.app(t);
    const primary = await node.primary(t);
    app.exec('INSERT INTO t VALUES (1, randomblob(100000))');
    if (!appStaysOpen) app.close();
    await primary.close();
    const again = await node.primary(t);
    assert.equal(again.position.txid, 2);
    await assertProven(again);
    assert.equal(await again.capture(), 0);
    assert.deepEqual(node.notices, []);
  }
});

test('what the app wrote while Skein was away is captured from the WAL, commit for commit', async (t) => {
  for (const checkpointed of [false, true]) {
    const node = new TestNode(t);
    const app = node.app(t);
    const primary = await node.primary(t);
    const copy = new TestNode(t);
    const replica = await installFrom(t, primary, copy);
    app.exec('INSERT INTO t VALUES (1, randomblob(100000))');
    follow(primary, replica);
    await primary.capture();
    await primary.close();
    for (let index = 0; index < 5; index += 1) app.exec('INSERT INTO t VALUES (NULL, randomblob(5000))');
    if (checkpointed) app.exec('PRAGMA wal_checkpoint(PASSIVE)');
    const again = await node.primary(t);
    assert.equal(again.position.txid, 2, 'the log knows nothing of it yet');
    follow(again, replica);
    assert.equal(await again.capture(), 5);
    assert.equal(again.position.txid, 7);
    await assertProven(again);
    assert.ok(pagesOf(replica.files).equals(pagesOf(again.files)));
    app.exec("INSERT INTO t VALUES (NULL, 'after')");
    await again.capture();
    assert.deepEqual(replica.position, again.position);
    assert.deepEqual(node.notices, []);
  }
});

test('what can no longer be told begins a new chain, with a notice', async (t) => {
  const behindTheBack: ((app: DatabaseSync) => void)[] = [
    (app) =>
      app.exec(
        'INSERT INTO t VALUES (NULL, 1); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (NULL, 2)',
      ),
    (app) =>
      app.exec(
        'INSERT INTO t VALUES (NULL, 1); PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (NULL, 2)',
      ),
    (app) => {
      app.exec('INSERT INTO t VALUES (NULL, 1)');
      app.close();
    },
    (app) => app.exec('PRAGMA journal_mode=DELETE; INSERT INTO t VALUES (NULL, 1); PRAGMA journal_mode=WAL'),
  ];
  for (const change of behindTheBack) {
    const node = new TestNode(t);
    const app = node.app(t);
    const primary = await node.primary(t);
    app.exec('INSERT INTO t VALUES (NULL, randomblob(9000))');
    await primary.capture();
    await primary.close();
    change(app);
    const again = await node.primary(t);
    assert.equal(again.position.txid, 3);
    await assertProven(again);
    assert.equal(node.notices.length, 1);
    assert.match(node.notices[0], /log does not lead to this state/);
    if (!app.isOpen) continue;
    app.exec('INSERT INTO t VALUES (NULL, 3)');
    assert.equal(await again.capture(), 1);
    await assertProven(again);
  }
});

test('records that a crash took from the log are captured anew, at the same positions', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const positions: Position[] = [];
  for (let index = 0; index < 3; index += 1) {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(5000)); INSERT INTO t VALUES (NULL, 1)');
    await primary.capture();
    positions.push(primary.position);
  }
  await primary.close();
  const directory = join(node.directory.hidden, 'log', databaseName);
  const segment = join(directory, readdirSync(directory)[0]);
  truncateSync(segment, readFileSync(segment).length - 10);
  const again = await node.primary(t);
  assert.deepEqual(again.position, positions[1]);
  assert.equal(await again.capture(), 2);
  assert.deepEqual(again.position, positions[2]);
});

test('without its log a database begins a new chain and keeps its content', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  app.exec('INSERT INTO t VALUES (1, 1)');
  await primary.close();
  rmSync(join(node.directory.hidden, 'log', databaseName), { recursive: true });
  const again = await node.primary(t);
  assert.equal(again.position.txid, 1);
  await assertProven(again);
});

test('a WAL that was restarted behind the back is seen, and the chain begins anew', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const restarted: Position[] = [];
  primary.addListener({ advanced: () => undefined, restarted: (position) => restarted.push(position) });
  app.exec('INSERT INTO t VALUES (1, randomblob(20000))');
  await primary.capture();
  const captured = primary.walFrames;
  app.exec('INSERT INTO t VALUES (2, randomblob(20000))');
  primary.files.unlock('checkpoint');
  app.exec('PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (3, randomblob(20000))');
  assert.ok(primary.files.tryLock('checkpoint'));
  while ((primary.files.walIndex.header()?.maxFrame ?? 0) < captured)
    app.exec('UPDATE t SET v = randomblob(9)');
  await primary.capture();
  assert.deepEqual(restarted, [primary.position]);
  assert.equal(node.notices.length, 1);
  await assertProven(primary);
  app.exec('DELETE FROM t');
  assert.equal(await primary.capture(), 1);
  await assertProven(primary);
});

test('a second replicator on the same file is refused', { skip: skipWithout('sqlite3') }, async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  const program = SqliteProgram.start(t, node.file());
  assert.match(await program.run('PRAGMA wal_checkpoint;'), /^1\|/);
  await primary.close();
  assert.match(await program.run('PRAGMA wal_checkpoint;'), /^0\|/);
});

test('a pinned state under full write load is the one of its position', {
  skip: skipWithout('sqlite3'),
}, async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  const program = SqliteProgram.start(t, node.file());
  await program.run('PRAGMA synchronous=OFF;');
  const statements = 'INSERT INTO t VALUES (NULL, randomblob(700)); DELETE FROM t WHERE id % 7 = 3;\n'.repeat(
    1_500,
  );
  let writing = true;
  const writer = program.run(statements).finally(() => {
    writing = false;
  });
  let pins = 0;
  let last = 0;
  while (writing) {
    const pin = await primary.pin();
    await new Promise(setImmediate);
    assert.equal((await scanChecksums(pin.source)).checksum, pin.position.checksum);
    assert.equal(pin.checksums.checksum, pin.position.checksum);
    assert.equal(pin.checksums.commit, pin.source.commit);
    assert.ok(pin.position.txid >= last);
    last = pin.position.txid;
    pin.release();
    pin.release();
    pins += 1;
  }
  assert.equal(await writer, '');
  assert.ok(pins > 3, `${pins} pins`);
  await primary.capture();
  await assertProven(primary);
  assert.ok(primary.position.txid > 1_500);
});

test('a pinned state stays what it was while the app writes on and a recycle is due', async (t) => {
  const node = new TestNode(t, { recycleFrames: 50 });
  const app = node.app(t);
  const primary = await node.primary(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(400000))');
  const pin = await primary.pin();
  const pages = sourcePages(pin.source);
  app.exec('DELETE FROM t; VACUUM');
  app.exec('INSERT INTO t VALUES (2, randomblob(900000))');
  await primary.capture();
  primary.recycleIfDue();
  const { lastRecycle: whilePinned } = primary;
  assert.equal(whilePinned, undefined);
  assert.ok(sourcePages(pin.source).equals(pages));
  pin.release();
  primary.recycleIfDue();
  (await primary.pin()).release();
  assert.equal(primary.lastRecycle?.kind, 'moved');
});

test('a closed database captures nothing, and closes once', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  app.exec('INSERT INTO t VALUES (1, 1)');
  await Promise.all([primary.close(), primary.close()]);
  assert.equal(await primary.capture(), 0);
  primary.recycleIfDue();
  assert.equal((await node.primary(t)).position.txid, 2, 'the last commit was captured by closing');
});

test('a file that is no database is refused, and can be taken later', async (t) => {
  const node = new TestNode(t);
  node.app(t).close();
  const bytes = readFileSync(node.file());
  truncateSync(node.file(), 60);
  await assert.rejects(node.primary(t), hasCode('DATABASE_NOT_SQLITE'));
  assert.ok(bytes.length > 60);
});
