import assert from 'node:assert/strict';
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { assertNothingLost, createLedger, LedgerWriter } from './support/ledger.ts';
import { Random } from './support/random.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const noteMark = 'a flock in flight, every bird sees the way';
const environment = { SKEIN_TEST_RECYCLE_FRAMES: '100' };

function segments(node: TestNode): string[] {
  const directory = join(node.databases, '.skein/log/app.db');
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(directory, name));
}

function flipBit(path: string, random: Random): string {
  const file = openSync(path, 'r+');
  const at = random.between(0, fstatSync(file).size - 1);
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] ^= 1 << random.between(0, 7);
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  return `flip at byte ${at}`;
}

function cut(path: string, random: Random): string {
  const file = openSync(path, 'r');
  const bytes = random.between(0, fstatSync(file).size - 1);
  closeSync(file);
  truncateSync(path, bytes);
  return `cut to ${bytes} bytes`;
}

/** A cluster with writes behind it, and a writer that goes on. */
async function withHistory(t: TestContext): Promise<{ cluster: TestCluster; writer: LedgerWriter }> {
  const cluster = await TestCluster.start(t, { environment });
  const path = cluster.primary.path('app.db');
  createLedger(path);
  await sqlite3(
    path,
    `INSERT INTO entry (writer, number, note) VALUES ('mark', 1, '${noteMark}')`,
    'UPDATE counter SET value = 1',
  );
  const writer = new LedgerWriter(t, 'node', path, 'writer', 1);
  await writer.commits(100);
  await waitFor(
    'the replica to have the ledger',
    async () => (await cluster.replica.state()).databases['app.db'],
  );
  return { cluster, writer };
}

for (const [damage, harm] of [
  ['a flipped bit', flipBit],
  ['a cut', cut],
] as const) {
  for (const whose of ['primary', 'replica'] as const) {
    test(`${damage} in the log of a stopped ${whose} costs nothing: the cluster comes back in step`, {
      skip,
    }, async (t) => {
      const random = new Random(t);
      const { cluster, writer } = await withHistory(t);
      const node = cluster[whose];
      for (let round = 0; round < 4; round += 1) {
        // A replica that fetches the pages begins its log anew, and may still be at it.
        await waitFor('something in its log', () => segments(node).length > 0);
        // In turn after an orderly stop and after a crash, which leaves more for the log to do.
        if (round % 2 === 0) await node.stop();
        else await node.kill();
        const paths = segments(node);
        const path = paths[random.between(0, paths.length - 1)];
        t.diagnostic(harm(path, random));
        await writer.commits(20);
        await node.start();
        await writer.commits(20);
      }
      await writer.stop();
      await assertInStep(cluster);
      for (const each of cluster.nodes) await assertNothingLost(each.path('app.db'), [writer]);
    });
  }
}

for (const whose of ['primary', 'replica'] as const) {
  test(`a database file of a stopped ${whose} that was changed without SQLite is told, and nodes agree again`, {
    skip,
  }, async (t) => {
    const { cluster, writer } = await withHistory(t);
    await writer.stop();
    await cluster.waitInStep();
    const node = cluster[whose];
    await node.stop();
    // A byte of a note, which belongs to no structure of SQLite's.
    const path = node.path('app.db');
    const note = readFileSync(path).lastIndexOf(noteMark);
    assert.ok(note > 0, 'the note is in the file');
    const file = openSync(path, 'r+');
    writeSync(file, 'X', note);
    closeSync(file);
    const seen = node.lines.length;
    await node.start();
    await node.line(/the log does not lead to this state|this copy is not what its log says/, seen);
    await assertInStep(cluster);
    const marked = `SELECT count(*) FROM entry WHERE note = '${noteMark}'`;
    // What is on the primary is right by definition.
    const expected = whose === 'primary' ? '0' : '1';
    for (const each of cluster.nodes) assert.equal(await sqlite3(each.path('app.db'), marked), expected);
  });
}

test('a flipped bit in the log of a running primary is found when a replica reads it, and the pages are compared', {
  skip,
}, async (t) => {
  const random = new Random(t);
  const { cluster, writer } = await withHistory(t);
  await cluster.replica.stop();
  await writer.commits(200);
  await writer.stop();
  for (const path of segments(cluster.primary)) t.diagnostic(flipBit(path, random));
  await cluster.replica.start();
  await assertInStep(cluster);
  await assertNothingLost(cluster.replica.path('app.db'), [writer]);
});
