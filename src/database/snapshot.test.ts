import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { LtxDecoder } from '../ltx/decoder.ts';
import { PageChecksums } from '../ltx/page-checksums.ts';
import { hasCode, sourcePages } from '../sqlite/test-support.ts';
import { openParts } from './database-parts.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { writeChangedPages, writeSnapshot } from './snapshot.ts';
import { SnapshotInstall } from './snapshot-install.ts';
import { applyBytes, databaseName, follow, installFrom, pagesOf, scanOf, TestNode } from './test-support.ts';

const never = new AbortController().signal;

async function snapshotOf(primary: PrimaryDatabase): Promise<Buffer> {
  const pin = await primary.pin();
  const chunks: Buffer[] = [];
  await writeSnapshot(
    { ...pin, nodeId: 7n, timestampMs: 5 },
    (chunk) => chunks.push(Buffer.from(chunk)),
    never,
  );
  pin.release();
  return Buffer.concat(chunks);
}

/** The pages that a replica with these checksums lacks, as an LTX file, and their numbers. */
async function changedFor(primary: PrimaryDatabase, theirs: PageChecksums) {
  const pin = await primary.pin();
  const chunks: Buffer[] = [];
  const input = { ...pin, nodeId: 7n, timestampMs: 5 };
  await writeChangedPages(input, theirs, (chunk) => chunks.push(Buffer.from(chunk)), never);
  pin.release();
  const file = Buffer.concat(chunks);
  const pages: number[] = [];
  const decoder = new LtxDecoder({ page: (page) => pages.push(page) });
  decoder.push(file);
  decoder.end();
  return { file, pages };
}

function checksumsOf(replica: ReplicaDatabase): PageChecksums {
  return PageChecksums.decode(replica.pageSize, replica.pageChecksums());
}

async function start(t: TestContext) {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(90000)), (2, randomblob(90000))');
  const primary = await one.primary(t);
  return { app, primary, one, two };
}

test('a snapshot holds every page of its position once', async (t) => {
  const { primary } = await start(t);
  const pages: Buffer[] = [];
  const decoder = new LtxDecoder({ page: (_page, data) => pages.push(Buffer.from(data)) });
  decoder.push(await snapshotOf(primary));
  const { header, trailer } = decoder.end();
  assert.ok(Buffer.concat(pages).equals(pagesOf(primary.files)));
  assert.deepEqual([header.minTxid, header.maxTxid], [1, primary.position.txid]);
  assert.equal(trailer.postApplyChecksum, primary.position.checksum);
});

test('a snapshot that is cut, flipped or for another database leaves nothing behind', async (t) => {
  const { app, primary, two } = await start(t);
  const file = await snapshotOf(primary);
  app.exec('DELETE FROM t WHERE id = 1');
  const { file: change } = await changedFor(primary, await scanOf(primary.files));
  const flipped = Buffer.from(file);
  flipped[file.length - 9] ^= 1;
  for (const bytes of [
    file.subarray(0, file.length - 1),
    file.subarray(0, 5_000),
    flipped,
    change,
    Buffer.alloc(0),
  ]) {
    const parts = openParts(two.context, databaseName);
    const install = new SnapshotInstall(two.context, parts);
    await assert.rejects(async () => {
      install.push(bytes);
      await install.finish();
    });
    install.abort();
    parts.log.close();
    assert.equal(existsSync(two.file()), false);
    assert.deepEqual(readdirSync(join(two.directory.hidden, 'tmp')), []);
  }
  const replica = await installFrom(t, primary, two);
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
});

test('only the pages that differ are sent, whatever the replica has', async (t) => {
  const { app, primary, two } = await start(t);
  const replica = await installFrom(t, primary, two);
  const steps = [
    'UPDATE t SET v = zeroblob(90000) WHERE id = 2',
    'INSERT INTO t VALUES (3, randomblob(500000))',
    'DELETE FROM t; VACUUM',
    'INSERT INTO t VALUES (4, randomblob(50))',
  ];
  for (const sql of steps) {
    app.exec(sql);
    await primary.capture();
    const [ours, theirs] = [await scanOf(primary.files), checksumsOf(replica)];
    const { file, pages } = await changedFor(primary, theirs);
    const differing = Array.from({ length: ours.commit }, (_, index) => index + 1).filter(
      (page) => page > theirs.commit || !theirs.equalsAt(page, ours.highAt(page), ours.lowAt(page)),
    );
    assert.deepEqual(pages, differing);
    applyBytes(replica, file, 'changed');
    assert.deepEqual(replica.position, primary.position);
    assert.deepEqual([replica.parts.log.base, replica.parts.log.tail], [primary.position, primary.position]);
    assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)), sql);
  }
  const link = follow(primary, replica);
  app.exec('INSERT INTO t VALUES (5, 5)');
  await primary.capture();
  assert.equal(link.batches, 1);
  assert.deepEqual(replica.position, primary.position);
});

test('a copy that only lost pages at its end, or has too many, gets the right size', async (t) => {
  const { app, primary, two } = await start(t);
  app.exec('INSERT INTO t VALUES (3, 3)');
  const replica = await installFrom(t, primary, two);
  const before = replica.position;
  const { file, pages } = await changedFor(primary, checksumsOf(replica));
  assert.deepEqual(pages, [], 'nothing differs');
  applyBytes(replica, file, 'changed');
  assert.deepEqual(replica.position, before);
  app.exec('DELETE FROM t; VACUUM');
  await primary.capture();
  const changed = await changedFor(primary, checksumsOf(replica));
  applyBytes(replica, changed.file, 'changed');
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
});

test('another database of the same name becomes the one of the primary', async (t) => {
  for (const first of [true, false]) {
    const { app, primary, two } = await start(t);
    if (!first) app.exec('INSERT INTO t VALUES (3, 3)');
    await primary.capture();
    const other = new DatabaseSync(two.file());
    other.exec('CREATE TABLE other(v); INSERT INTO other VALUES (randomblob(400000))');
    other.close();
    const replica = await two.replica(t);
    assert.equal(replica.position.txid, 0);
    // A file of TXID 1 is a snapshot, and holds all pages.
    const file = first ? await snapshotOf(primary) : (await changedFor(primary, checksumsOf(replica))).file;
    applyBytes(replica, file, 'changed');
    assert.deepEqual(replica.position, primary.position);
    assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
  }
});

test('changed pages made for another copy are refused and change nothing', async (t) => {
  const { app, primary, two } = await start(t);
  const replica = await installFrom(t, primary, two);
  const before = pagesOf(replica.files);
  app.exec('DELETE FROM t');
  await primary.capture();
  const { file } = await changedFor(primary, await scanOf(primary.files));
  assert.throws(() => applyBytes(replica, file, 'changed'), hasCode('POSITION_MISMATCH'));
  assert.ok(pagesOf(replica.files).equals(before));
});

test('a snapshot that nobody wants any more is given up, and its pin with it', async (t) => {
  const { app, primary } = await start(t);
  app.exec('INSERT INTO t VALUES (9, randomblob(30000000))');
  const pin = await primary.pin();
  const controller = new AbortController();
  let bytes = 0;
  const writing = writeSnapshot(
    { ...pin, nodeId: 7n, timestampMs: 5 },
    (chunk) => {
      bytes += chunk.length;
      controller.abort();
    },
    controller.signal,
  );
  await assert.rejects(writing, { name: 'AbortError' });
  assert.ok(bytes < 25_000_000, `${bytes} bytes`);
  assert.equal(sourcePages(pin.source).length, pin.source.commit * 4096);
  pin.release();
});
