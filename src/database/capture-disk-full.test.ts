import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type TestContext, test } from 'node:test';
import { Segment } from '../log/segment.ts';
import { hasCode } from '../sqlite/test-support.ts';
import { PositionFile } from './position-file.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { applyBytes, follow, installFrom, pagesOf, recordBytes, scanOf, TestNode } from './test-support.ts';

const full = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });

/** From the `nth` write on, counted from 0, every write to one of the files fails. Returns how to end that. */
function failWrites(t: TestContext, files: readonly number[], nth: number): { end(): void } {
  const real = fs.writeSync;
  let count = 0;
  const mocked = t.mock.method(fs, 'writeSync', (...args: Parameters<typeof fs.writeSync>) => {
    if (files.includes(args[0])) {
      count += 1;
      if (count > nth) throw full();
    }
    return real(...args);
  });
  syncBuiltinESMExports();
  return {
    end: () => {
      mocked.mock.restore();
      syncBuiltinESMExports();
    },
  };
}

function logFile({ parts, position }: PrimaryDatabase | ReplicaDatabase): number {
  const cursor = parts.log.find(position);
  assert.ok(cursor);
  return cursor.segment.fileDescriptor;
}

async function start(t: TestContext) {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t);
  app.exec('INSERT INTO t VALUES (1, randomblob(50000))');
  const primary = await one.primary(t);
  const replica = await installFrom(t, primary, two);
  return { app, primary, replica };
}

/** A small and a large change: one is written to the log at once, the other in pieces. */
const changes = ['UPDATE t SET v = randomblob(40000)', 'INSERT INTO t VALUES (NULL, randomblob(1500000))'];

test('a disk that is full at any write of a capture changes nothing, and the next capture has it all', async (t) => {
  const { app, primary, replica } = await start(t);
  follow(primary, replica);
  for (const change of changes) {
    let failures = 0;
    for (let nth = 0; ; nth += 1) {
      app.exec(change);
      const before = primary.position;
      const logBytes = primary.parts.log.bytes;
      const checksums = (await scanOf(primary.files)).checksum;
      const writes = failWrites(t, [logFile(primary)], nth);
      const result = await primary.capture().catch((error: unknown) => error);
      writes.end();
      if (result === 1) break;
      failures += 1;
      assert.ok(hasCode('DISK_FULL')(result), String(result));
      assert.deepEqual(primary.position, before);
      assert.equal(primary.parts.log.bytes, logBytes);
      assert.equal(await primary.capture(), 1);
      assert.equal(primary.position.checksum, checksums);
      assert.deepEqual(replica.position, primary.position);
    }
    assert.ok(failures > 0);
  }
  assert.ok(pagesOf(primary.files).equals(pagesOf(replica.files)));
});

test('a disk that is full at any write of an apply changes nothing, and the same file applies later', async (t) => {
  const { app, primary, replica } = await start(t);
  const captured: Buffer[] = [];
  primary.addListener({
    advanced: (batch) => captured.push(recordBytes(batch)),
    restarted: () => undefined,
  });
  for (const change of changes) {
    app.exec(change);
    await primary.capture();
    const file = captured.pop();
    assert.ok(file);
    const before = { pages: pagesOf(replica.files), position: replica.position };
    for (let nth = 0; ; nth += 1) {
      const writes = failWrites(t, [logFile(replica), replica.files.wal], nth);
      let failed = false;
      try {
        applyBytes(replica, file);
      } catch (error) {
        failed = true;
        assert.match(String(error), /ENOSPC/);
      } finally {
        writes.end();
      }
      if (!failed) {
        assert.ok(nth >= 2, `${nth} writes failed`);
        break;
      }
      assert.ok(pagesOf(replica.files).equals(before.pages), `write ${nth}`);
      assert.deepEqual(replica.position, before.position);
      assert.deepEqual(replica.parts.log.tail, before.position);
    }
    assert.deepEqual(replica.position, primary.position);
    assert.equal((await scanOf(replica.files)).checksum, primary.position.checksum);
  }
});

test('a failing disk under the log is passed on as it is, and the capture goes on after it', async (t) => {
  const { app, primary } = await start(t);
  app.exec('DELETE FROM t');
  const broken = Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
  const mocked = t.mock.method(Segment.prototype, 'write', () => {
    throw broken;
  });
  await assert.rejects(primary.capture(), broken);
  mocked.mock.restore();
  assert.equal(await primary.capture(), 1);
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
});

test('a position file that cannot be written keeps no transaction from the replicas', async (t) => {
  const { app, primary, replica } = await start(t);
  follow(primary, replica);
  app.exec('DELETE FROM t');
  const mocked = t.mock.method(PositionFile.prototype, 'write', () => {
    throw full();
  });
  await assert.rejects(primary.capture(), hasCode('DISK_FULL'));
  mocked.mock.restore();
  assert.equal(primary.position.checksum, (await scanOf(primary.files)).checksum);
  assert.equal(primary.position.checksum, (await scanOf(replica.files)).checksum);
});
