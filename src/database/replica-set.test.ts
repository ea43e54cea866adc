import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { hasCode } from '../sqlite/test-support.ts';
import { listLost } from './lost-entries.ts';
import { restoreState } from './lost-state.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { type DatabaseInstall, ReplicaSet } from './replica-set.ts';
import { writeSnapshot } from './snapshot.ts';
import { pagesOf, TestNode } from './test-support.ts';

/** Everything of the primary's database, up to the end. */
async function receive(replicas: ReplicaSet, primary: PrimaryDatabase): Promise<DatabaseInstall> {
  const install = replicas.beginInstall(primary.name);
  const pin = await primary.pin();
  const input = { ...pin, nodeId: 1n, timestampMs: 1 };
  await writeSnapshot(input, (chunk) => install.push(chunk), new AbortController().signal);
  pin.release();
  return install;
}

async function startSet(t: TestContext, node: TestNode): Promise<ReplicaSet> {
  const set = new ReplicaSet(node.context, node.directory);
  t.after(() => set.stop());
  await set.start();
  return set;
}

function lostFiles(node: TestNode): string[] {
  const lost = join(node.directory.hidden, 'lost');
  return existsSync(lost) ? readdirSync(lost).sort() : [];
}

/** No disk has room for a copy of it. */
function makeVast(database: ReplicaDatabase): { tries: number } {
  const counted = { tries: 0 };
  const pin = database.pin.bind(database);
  Object.assign(database, {
    pin: async () => {
      counted.tries += 1;
      const pinned = await pin();
      return { ...pinned, source: Object.create(pinned.source, { commit: { value: 2 ** 50 } }) };
    },
  });
  return counted;
}

test('a replica installs, keeps and drops databases, with one copy of what it dropped', async (t) => {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  const app = one.app(t);
  app.exec("INSERT INTO t VALUES (1, 'kept')");
  const primary = await one.primary(t);
  const replicas = new ReplicaSet(two.context, two.directory);
  await replicas.start();
  const replica = await (await receive(replicas, primary)).finish();
  assert.equal(replicas.get('a.db'), replica);
  assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
  await replicas.stop();
  const restarted = new ReplicaSet(two.context, two.directory);
  await restarted.start();
  t.after(() => restarted.stop());
  assert.deepEqual(restarted.get('a.db')?.position, primary.position);
  await restarted.drop('a.db');
  await restarted.drop('a.db');
  assert.deepEqual(restarted.all(), []);
  assert.deepEqual(two.directory.databaseNames(), []);
  assert.deepEqual(readdirSync(two.path), ['.skein']);
  const [{ directory, entry }, ...others] = listLost(two.directory.hidden);
  assert.deepEqual(others, []);
  assert.deepEqual([entry.database, entry.node, entry.from], ['a.db', 'one', null]);
  const restored = join(two.path, 'restored');
  await restoreState(directory, restored);
  const kept = new DatabaseSync(restored);
  assert.equal(kept.prepare('SELECT v FROM t').get()?.v, 'kept');
  kept.close();
});

test('pages of another size take the place of the database when all of them are there, and a copy stays', async (t) => {
  const [one, other, two] = [new TestNode(t), new TestNode(t), new TestNode(t)];
  one.app(t).exec("INSERT INTO t VALUES (1, 'small pages')");
  other.app(t, 'PRAGMA page_size=8192').exec("INSERT INTO t VALUES (1, 'large pages')");
  const [primary, next] = [await one.primary(t), await other.primary(t)];
  const replicas = await startSet(t, two);
  const replica = await (await receive(replicas, primary)).finish();
  const abandoned = await receive(replicas, next);
  assert.equal(replicas.get('a.db'), replica);
  abandoned.abort();
  const reader = new DatabaseSync(two.file(), { readOnly: true });
  assert.equal(reader.prepare('SELECT v FROM t').get()?.v, 'small pages');
  reader.close();
  assert.deepEqual(lostFiles(two), []);
  const replaced = await (await receive(replicas, next)).finish();
  assert.equal(replicas.get('a.db'), replaced);
  assert.equal(replaced.pageSize, 8192);
  assert.deepEqual(replaced.parts.log.tail, next.position);
  assert.ok(pagesOf(replaced.files).equals(pagesOf(next.files)));
  assert.equal(lostFiles(two).length, 1);
});

for (const [what, isOpened, damage] of [
  ['is noise', false, () => randomBytes(8192)],
  ['is a text', false, () => Buffer.from('no database'.repeat(900))],
  ['has a broken header', true, (pages: Buffer) => pages.fill(0xee, 16, 100)],
] as const) {
  test(`a copy that ${what} is set aside with its WAL, said, and can come anew`, async (t) => {
    const [one, two] = [new TestNode(t), new TestNode(t)];
    one.app(t).exec("INSERT INTO t VALUES (1, 'kept')");
    const primary = await one.primary(t);
    const first = new ReplicaSet(two.context, two.directory);
    await first.start();
    await (await receive(first, primary)).finish();
    await first.stop();
    const bytes = damage(readFileSync(two.file()));
    writeFileSync(two.file(), bytes);
    writeFileSync(`${two.file()}-wal`, 'the WAL');
    const replicas = await startSet(t, two);
    assert.deepEqual(replicas.all(), []);
    assert.equal(two.notices.filter((line) => line.includes('copy is damaged')).length, 1);
    const [aside, ...others] = lostFiles(two);
    assert.match(aside, /^a\.db-\d{13}\.db$/);
    // SQLite looks into a file that begins as a database does, and clears away a WAL that is none.
    assert.deepEqual(others, isOpened ? [] : [`${aside}-wal`]);
    assert.ok(readFileSync(join(two.directory.hidden, 'lost', aside)).equals(bytes));
    assert.deepEqual(two.directory.loggedNames(), []);
    const replica = await (await receive(replicas, primary)).finish();
    assert.ok(pagesOf(replica.files).equals(pagesOf(primary.files)));
  });
}

test("a file that is no database and never was this node's stops the start, and stays", async (t) => {
  const node = new TestNode(t);
  writeFileSync(node.file(), 'no database'.repeat(900));
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(startSet(t, node), hasCode('DATABASE_NOT_SQLITE'));
  }
  assert.ok(existsSync(node.file()));
  assert.deepEqual(lostFiles(node), []);
});

test("a file that is not this node's is set aside whole when the primary's database comes or goes", async (t) => {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  one.app(t);
  const primary = await one.primary(t);
  const replicas = await startSet(t, two);
  const stranger = two.app(t);
  stranger.exec("INSERT INTO t VALUES (1, 'only here')");
  await (await receive(replicas, primary)).finish();
  stranger.close();
  const [aside] = lostFiles(two);
  const kept = new DatabaseSync(join(two.directory.hidden, 'lost', aside));
  assert.equal(kept.prepare('SELECT v FROM t').get()?.v, 'only here');
  kept.close();
  writeFileSync(two.file('b.db'), 'anything');
  mkdirSync(two.file('c.db'));
  for (const name of ['b.db', 'c.db', 'd.db']) await replicas.drop(name);
  assert.equal(lostFiles(two).filter((name) => name.startsWith('b.db-')).length, 1);
  assert.ok(existsSync(two.file('c.db')), 'a folder is no database');
});

test('without room for a copy a database stays, says why, and the copy is not tried again at once', async (t) => {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  one.app(t);
  const primary = await one.primary(t);
  const replicas = await startSet(t, two);
  const replica = await (await receive(replicas, primary)).finish();
  const counted = makeVast(replica);
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(replicas.drop('a.db'), hasCode('DISK_FULL'));
    await assert.rejects(replicas.keepLost(replica, 'why'), hasCode('DISK_FULL'));
    assert.throws(() => replicas.beginInstall('a.db'), hasCode('DISK_FULL'));
  }
  assert.equal(counted.tries, 1);
  assert.equal(two.notices.filter((line) => line.includes('no copy could be kept')).length, 1);
  assert.match(replicas.problems().get('a.db') ?? '', /no room for a copy of a\.db/);
  assert.equal(replicas.get('a.db'), replica);
  assert.ok(existsSync(two.file()));
});

test('a database that was left out when this node ceased to lead is opened again, with all that was committed', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  app.exec('INSERT INTO t VALUES (1, 1)');
  const primary = await node.primary(t);
  const { txid } = primary.position;
  await primary.close();
  // By a start that found it busy: nothing has captured it.
  app.exec('INSERT INTO t VALUES (2, 2)');
  const set = new ReplicaSet(node.context, node.directory);
  t.after(() => set.stop());
  set.adopt([]);
  app.exec('BEGIN IMMEDIATE');
  await set.openMissing();
  assert.equal(set.get('a.db'), undefined, 'while a program writes');
  app.exec('COMMIT');
  await set.openMissing();
  assert.ok((set.get('a.db')?.position.txid ?? 0) > txid);
  assert.throws(() => app.exec('PRAGMA busy_timeout=0; INSERT INTO t VALUES (3, 3)'), /locked/);
});

test('a database whose file a program removed on the replica is nothing to lead with', async (t) => {
  const [one, two] = [new TestNode(t), new TestNode(t)];
  one.app(t).exec('INSERT INTO t VALUES (1, 1)');
  const primary = await one.primary(t);
  const replicas = await startSet(t, two);
  const replica = await (await receive(replicas, primary)).finish();
  assert.equal(replica.files.isInPlace, true);
  rmSync(two.file());
  assert.equal(replica.files.isInPlace, false);
  await assert.rejects(replicas.rest(), hasCode('DATABASE_NOT_FOUND'));
  assert.equal(replicas.get('a.db'), replica, 'it follows on');
});
