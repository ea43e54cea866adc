import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { formatPosition } from '../ltx/position.ts';
import { platformByteLocks, shmLock } from '../sqlite/byte-locks.ts';
import { hasCode, SqliteProgram, sqlitePages } from '../sqlite/test-support.ts';
import type { CapturedBatch } from './capture.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import {
  applyBytes,
  databaseName,
  follow,
  installFrom,
  type NodeOverrides,
  pagesOf,
  recordBytes,
  scanOf,
  TestNode,
} from './test-support.ts';

async function start(t: TestContext, overrides: NodeOverrides = {}) {
  const [one, two] = [new TestNode(t), new TestNode(t, overrides)];
  const app = one.app(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(50000))');
  const primary = await one.primary(t);
  const replica = await installFrom(t, primary, two);
  return { app, primary, replica, two };
}

/** The LTX file of what the app has committed since the last capture. */
async function captured(primary: PrimaryDatabase): Promise<Buffer> {
  const files: Buffer[] = [];
  const listener = {
    advanced: (batch: CapturedBatch) => files.push(recordBytes(batch)),
    restarted: () => undefined,
  };
  primary.addListener(listener);
  await primary.capture();
  primary.removeListener(listener);
  const [file] = files;
  assert.ok(file);
  return file;
}

test('a snapshot is installed as a database of its own at the position of the primary', async (t) => {
  const { primary, replica, two } = await start(t);
  assert.deepEqual(replica.position, primary.position);
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
  assert.equal(readFileSync(`${two.file()}-pos`, 'utf8'), `${formatPosition(primary.position)}\n`);
  assert.deepEqual(readdirSync(join(two.directory.hidden, 'tmp')), []);
});

test('no program can write on a replica, and all can read', { skip: skipWithout('sqlite3') }, async (t) => {
  const { two } = await start(t);
  const program = SqliteProgram.start(t, two.file());
  for (const sql of ['DELETE FROM t;', 'BEGIN IMMEDIATE;', 'VACUUM;', 'PRAGMA user_version=3;']) {
    assert.match(await program.run(sql), /locked/, sql);
  }
  assert.match(await program.run('PRAGMA journal_mode=DELETE;'), /locked/);
  assert.equal(await program.run('SELECT count(*) FROM t; PRAGMA integrity_check;'), '1\nok');
});

test('a file that is cut, flipped or out of order changes nothing, and the right one applies after it', async (t) => {
  const { app, primary, replica } = await start(t);
  app.exec('UPDATE t SET v = randomblob(60000)');
  const first = await captured(primary);
  app.exec('DELETE FROM t');
  const second = await captured(primary);
  const before = {
    pages: pagesOf(replica.files),
    position: replica.position,
    checksums: replica.pageChecksums(),
  };
  const unchanged = (what: string) => {
    assert.ok(pagesOf(replica.files).equals(before.pages), what);
    assert.deepEqual(replica.position, before.position);
    assert.deepEqual(replica.pageChecksums(), before.checksums);
    assert.deepEqual(replica.parts.log.tail, before.position);
  };
  for (let index = 1; index < 30; index += 1) {
    const at = Math.floor((first.length * index) / 30);
    assert.throws(() => applyBytes(replica, first.subarray(0, at)), hasCode('LTX_INVALID'));
    unchanged(`cut at ${at}`);
    const flipped = Buffer.from(first);
    flipped[at] ^= 4;
    assert.throws(() => applyBytes(replica, flipped));
    unchanged(`flipped at ${at}`);
  }
  assert.throws(() => applyBytes(replica, second), hasCode('POSITION_MISMATCH'));
  unchanged('out of order');
  applyBytes(replica, first);
  assert.throws(() => applyBytes(replica, first), hasCode('POSITION_MISMATCH'));
  applyBytes(replica, second);
  assert.deepEqual(replica.position, primary.position);
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
});

test('after a clean stop a replica is where it was', async (t) => {
  const { app, primary, replica, two } = await start(t);
  follow(primary, replica);
  app.exec('INSERT INTO t VALUES (2, randomblob(9000))');
  await primary.capture();
  await replica.close();
  const again = await two.replica(t);
  assert.deepEqual(again.position, primary.position);
  follow(primary, again).batches = 0;
  assert.deepEqual(two.notices, []);
});

test('what the log has and the file does not is rolled forward', async (t) => {
  const { app, primary, replica, two } = await start(t, {
    logLimits: { retentionMs: 1e6, bytesMax: 1 << 19 },
  });
  await replica.close();
  const older = readFileSync(two.file());
  const opened = await two.replica(t);
  follow(primary, opened);
  for (let round = 0; round < 12; round += 1) {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(30000)); DELETE FROM t WHERE id % 3 = 0');
    await primary.capture();
  }
  await opened.close();
  assert.ok(readdirSync(join(two.directory.hidden, 'log', databaseName)).length > 2, 'several segments');
  writeFileSync(two.file(), older);
  const again = await two.replica(t);
  assert.deepEqual(again.position, primary.position);
  assert.ok(pagesOf(again.files).equals(pagesOf(primary.files)));
  assert.ok(sqlitePages(again.files.connection).equals(pagesOf(primary.files)));
  assert.deepEqual(two.notices, []);
});

test('a log that is damaged in the middle is rolled forward up to the damage, and goes on from there', async (t) => {
  const { app, primary, replica, two } = await start(t, {
    logLimits: { retentionMs: 1e6, bytesMax: 1 << 19 },
  });
  await replica.close();
  const older = readFileSync(two.file());
  const opened = await two.replica(t);
  follow(primary, opened);
  const positions = [opened.position];
  for (let round = 0; round < 12; round += 1) {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(30000))');
    await primary.capture();
    positions.push(primary.position);
  }
  await opened.close();
  const directory = join(two.directory.hidden, 'log', databaseName);
  const path = join(directory, readdirSync(directory).sort()[0]);
  const bytes = readFileSync(path);
  bytes[64 + 12 + 100 + 200] ^= 1;
  writeFileSync(path, bytes);
  writeFileSync(two.file(), older);
  const again = await two.replica(t);
  assert.match(two.notices.join(), /rolled forward as far as it holds/);
  assert.deepEqual(again.position, positions[0]);
  assert.deepEqual(again.parts.log.tail, positions[0]);
  assert.equal(again.position.checksum, (await scanOf(again.files)).checksum);
});

test('a file that something else has written is seen, and has TXID 0', async (t) => {
  const { two, replica } = await start(t);
  await replica.close();
  const outsider = new DatabaseSync(two.file());
  outsider.exec('DELETE FROM t');
  outsider.close();
  const again = await two.replica(t);
  assert.equal(again.position.txid, 0);
  assert.equal(again.position.checksum, (await scanOf(again.files)).checksum);
  assert.match(two.notices.join(), /not what its log says/);
});

test('a database without a log has TXID 0', async (t) => {
  const { two, replica } = await start(t);
  await replica.close();
  rmSync(join(two.directory.hidden, 'log', databaseName), { recursive: true });
  const again = await two.replica(t);
  assert.equal(again.position.txid, 0);
});

test('a pinned state stays what it was while transactions are applied and a recycle is due', async (t) => {
  const { app, primary, replica } = await start(t, { recycleFrames: 20 });
  follow(primary, replica);
  const pin = await replica.pin();
  const before = pagesOf(primary.files);
  for (let round = 0; round < 10; round += 1) {
    app.exec('UPDATE t SET v = randomblob(50000)');
    await primary.capture();
    assert.equal(replica.recycleIfDue(), undefined);
  }
  const pages = Array.from({ length: pin.source.commit }, (_, index) =>
    Buffer.from(pin.source.page(index + 1)),
  );
  assert.ok(Buffer.concat(pages).equals(before));
  pin.release();
  while (replica.walFrames > 20) await (replica.recycleIfDue() ?? new Promise(setImmediate));
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
});

test("an app's own checkpoint does not reach the file while a state is pinned, and does after it", async (t) => {
  const { app, primary, replica, two } = await start(t);
  follow(primary, replica);
  const pins = [await replica.pin(), await replica.pin()];
  const before = pagesOf(replica.files);
  app.exec('UPDATE t SET v = randomblob(50000)');
  await primary.capture();
  const other = new DatabaseSync(two.file());
  t.after(() => other.close());
  const checkpoint = () => other.prepare('PRAGMA wal_checkpoint').get();
  for (const pin of pins) {
    assert.equal(checkpoint()?.busy, 1);
    const pages = Array.from({ length: pin.source.commit }, (_, index) =>
      Buffer.from(pin.source.page(index + 1)),
    );
    assert.ok(Buffer.concat(pages).equals(before));
    pin.release();
    pin.release();
  }
  assert.equal(checkpoint()?.busy, 0);
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
});

test('a pin while a program checkpoints says so, and works when that is over', async (t) => {
  const { replica } = await start(t);
  const byteLocks = platformByteLocks();
  const shm = openSync(`${replica.files.path}-shm`, 'r+');
  assert.ok(byteLocks.tryExclusive(shm, shmLock.checkpoint));
  await assert.rejects(replica.pin(), hasCode('DATABASE_BUSY'));
  byteLocks.unlock(shm, shmLock.checkpoint);
  (await replica.pin()).release();
  await replica.close();
  closeSync(shm);
  await assert.rejects(replica.pin(), hasCode('DATABASE_BUSY'), 'nor is a closed one pinned');
});

test('a copy of the files while a replica runs is a sound database', async (t) => {
  const { app, primary, replica, two } = await start(t);
  follow(primary, replica);
  app.exec('INSERT INTO t VALUES (2, randomblob(70000))');
  await primary.capture();
  const copy = join(two.path, 'copy');
  for (const suffix of ['', '-wal']) copyFileSync(two.file() + suffix, copy + suffix);
  const opened = new DatabaseSync(copy);
  assert.equal(opened.prepare('PRAGMA integrity_check').get()?.integrity_check, 'ok');
  assert.ok(sqlitePages(opened).equals(pagesOf(primary.files)));
  opened.close();
  assert.ok(existsSync(`${two.file()}-wal`));
});
