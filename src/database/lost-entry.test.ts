import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LtxDecoder } from '../ltx/decoder.ts';
import { ltxFileName } from '../ltx/name.ts';
import { formatPosition, type Position, txid } from '../ltx/position.ts';
import { hasCode } from '../sqlite/test-support.ts';
import { findLost, listLost } from './lost-entries.ts';
import { keepLost, type LostState } from './lost-entry.ts';
import { restoreState } from './lost-state.ts';
import type { PinnedPages } from './pinned-state.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import { pagesOf, TestNode } from './test-support.ts';

/** A database with a commit for each position that is returned, the last of them its own. */
async function someCommits(
  t: TestContext,
  node: TestNode,
  count: number,
): Promise<{ primary: PrimaryDatabase; positions: Position[]; commit: () => Promise<Position> }> {
  const app = node.app(t);
  const primary = await node.primary(t);
  await primary.capture();
  const commit = async () => {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(9000))');
    await primary.capture();
    return primary.position;
  };
  const positions = [primary.position];
  while (positions.length <= count) positions.push(await commit());
  return { primary, positions, commit };
}

function stateOf(primary: PrimaryDatabase, change: Partial<LostState> = {}): LostState {
  const { log } = primary.parts;
  return { database: 'a.db', node: 'one', nodeId: 7n, epoch: 3, log, reason: 'a test', ...change };
}

async function keep(node: TestNode, primary: PrimaryDatabase, change: Partial<LostState> = {}) {
  const pin = await primary.pin();
  try {
    return await keepLost(node.directory.hidden, pin, stateOf(primary, change));
  } finally {
    pin.release();
  }
}

test('an entry holds the transactions after the shared position, each as it was, and the whole state', async (t) => {
  const node = new TestNode(t);
  const { primary, positions } = await someCommits(t, node, 5);
  const [, , from, ...after] = positions;
  const pages = pagesOf(primary.files);
  const entry = await keep(node, primary, { range: { from, isCertain: true } });
  const { directory, bytes } = findLost(node.directory.hidden, entry.id);
  assert.match(entry.id, /^a\.db-\d{8}T\d{6}Z$/);
  const { time, ...rest } = entry;
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  assert.deepEqual(rest, {
    version: 1,
    id: entry.id,
    database: 'a.db',
    node: 'one',
    epoch: 3,
    from: formatPosition(from),
    to: formatPosition(primary.position),
    isRangeCertain: true,
    transactions: 3,
    reason: 'a test',
  });
  assert.deepEqual(JSON.parse(readFileSync(join(directory, 'entry.json'), 'utf8')), entry);
  const files = after.map((position) => ltxFileName(position.txid, position.txid));
  assert.deepEqual(readdirSync(directory).sort(), [...files, 'entry.json', 'state.ltx']);
  for (const [index, name] of files.entries()) {
    const decoder = new LtxDecoder({ page: () => undefined });
    decoder.push(readFileSync(join(directory, name)));
    assert.equal(decoder.end().trailer.postApplyChecksum, after[index].checksum);
  }
  assert.ok(bytes > 0);
  const restored = join(node.path, 'restored');
  await restoreState(directory, restored);
  assert.ok(readFileSync(restored).equals(pages));
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'tmp')), []);
});

test('the same state is kept once, also after a stop between keeping and replacing', async (t) => {
  const node = new TestNode(t);
  const { primary, positions, commit } = await someCommits(t, node, 2);
  const range = { from: positions[0], isCertain: true };
  const first = await keep(node, primary, { range });
  assert.deepEqual(await keep(node, primary, { range }), first);
  // What keeps only the state is content with an entry that has more.
  assert.deepEqual(await keep(node, primary), first);
  await commit();
  const second = await keep(node, primary, { range });
  assert.notEqual(second.id, first.id);
  const ids = listLost(node.directory.hidden).map(({ entry }) => entry.id);
  assert.deepEqual(ids, [first.id, second.id]);
});

test('of states without transactions the newest two stay, of those with them more, each database by itself', async (t) => {
  const node = new TestNode(t);
  const { primary, positions, commit } = await someCommits(t, node, 1);
  const diverged = await keep(node, primary, { range: { from: positions[0], isCertain: true } });
  const other = await keep(node, primary, { database: 'a.db-x.db' });
  const ids: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    await commit();
    ids.push((await keep(node, primary)).id);
  }
  const kept = listLost(node.directory.hidden).map(({ entry }) => entry.id);
  assert.deepEqual(kept.sort(), [diverged.id, other.id, ...ids.slice(2)].sort());
});

test('a state that the log does not know comes after all that it knows, and is not certain', async (t) => {
  const node = new TestNode(t);
  const { primary, positions } = await someCommits(t, node, 3);
  const pin = await primary.pin();
  const unknown: PinnedPages = { ...pin, position: { ...pin.position, txid: txid(0) } };
  const range = { from: positions[1], isCertain: true };
  const entry = await keepLost(node.directory.hidden, unknown, stateOf(primary, { range }));
  pin.release();
  const { tail } = primary.parts.log;
  assert.equal(entry.to, formatPosition({ txid: txid(tail.txid + 1), checksum: tail.checksum }));
  assert.equal(entry.transactions, 3);
  assert.equal(entry.isRangeCertain, false);
});

test('transactions beyond a thousand are in the state only, and the entry says so', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  await primary.capture();
  const from = primary.position;
  for (let round = 0; round < 1_010; round += 1) {
    app.exec('INSERT INTO t VALUES (NULL, 1)');
    await primary.capture();
  }
  const entry = await keep(node, primary, { range: { from, isCertain: true } });
  assert.equal(entry.transactions, 1_000);
  assert.equal(entry.isRangeCertain, false);
  const { directory } = findLost(node.directory.hidden, entry.id);
  assert.equal(readdirSync(directory).length, 1_002);
});

test('an entry for which there is no room is refused before anything is written', async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  const pin = await primary.pin();
  const vast = { ...pin, source: Object.create(pin.source, { commit: { value: 2 ** 50 } }) };
  const kept = keepLost(node.directory.hidden, vast, stateOf(primary));
  await assert.rejects(kept, hasCode('DISK_FULL'));
  pin.release();
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'lost')), []);
});

test('what fails half-way leaves nothing, and the reason is told', async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  const pin = await primary.pin();
  const failing = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const source = Object.create(pin.source, {
    page: {
      value: () => {
        throw failing;
      },
    },
  });
  const kept = keepLost(node.directory.hidden, { ...pin, source }, stateOf(primary));
  await assert.rejects(kept, hasCode('DISK_FULL'));
  pin.release();
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'lost')), []);
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'tmp')), []);
});

test('what is no entry is not listed, and an id that is not there is refused with those that are', async (t) => {
  const node = new TestNode(t);
  assert.deepEqual(listLost(node.directory.hidden), []);
  assert.throws(() => findLost(node.directory.hidden, 'x'), hasCode('LOST_NOT_FOUND'));
  const { primary } = await someCommits(t, node, 1);
  const entry = await keep(node, primary);
  const lost = join(node.directory.hidden, 'lost');
  mkdirSync(join(lost, 'empty'));
  mkdirSync(join(lost, 'half'));
  writeFileSync(join(lost, 'half', 'entry.json'), '{"version":1');
  writeFileSync(join(lost, 'a.db-replaced-wal'), 'x');
  assert.deepEqual(
    listLost(node.directory.hidden).map((found) => found.entry),
    [entry],
  );
  assert.throws(() => findLost(node.directory.hidden, '../log'), new RegExp(entry.id));
  rmSync(join(lost, entry.id, 'state.ltx'));
  assert.notEqual((await keep(node, primary)).id, entry.id, 'an entry that lost its state is none');
});

test('a damaged state is refused', async (t) => {
  const node = new TestNode(t);
  const { primary } = await someCommits(t, node, 1);
  const { id } = await keep(node, primary);
  const { directory } = findLost(node.directory.hidden, id);
  const bytes = readFileSync(join(directory, 'state.ltx'));
  bytes[bytes.length - 20] ^= 1;
  writeFileSync(join(directory, 'state.ltx'), bytes);
  const restored = join(node.path, 'restored');
  await assert.rejects(restoreState(directory, restored), hasCode('LTX_INVALID'));
  assert.ok(existsSync(restored), "the caller's to remove");
});
