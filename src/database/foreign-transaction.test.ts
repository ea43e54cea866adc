import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { obstacleTo } from '../lease/eligibility.ts';
import { formatPosition, type Position, positionsEqual } from '../ltx/position.ts';
import type { CapturedBatch } from './capture.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { ReplicaSet } from './replica-set.ts';
import { applyBytes, follow, installFrom, pagesOf, recordBytes, TestNode } from './test-support.ts';

async function pair(t: TestContext) {
  const one = new TestNode(t);
  const app = one.app(t);
  app.exec("INSERT INTO t(v) VALUES ('first')");
  const primary = await one.primary(t);
  const two = new TestNode(t);
  const replica = await installFrom(t, primary, two);
  return { app, primary, replica, there: two };
}

/** What a program writes while the replica is lent. */
async function written(replica: ReplicaDatabase, there: TestNode, t: TestContext, ...statements: string[]) {
  const lent = await replica.lend(replica.position);
  const app = there.app(t);
  for (const sql of statements) app.exec(sql);
  const batch = await lent.takeBack(1_000);
  assert.ok(batch !== 'busy' && batch !== 'nothing');
  assert.throws(() => app.exec('PRAGMA busy_timeout = 0; INSERT INTO t(v) VALUES (0)'), /locked/);
  return batch;
}

async function* bytesOf(batch: CapturedBatch): AsyncGenerator<Uint8Array> {
  const bytes = recordBytes(batch);
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}

async function taken(primary: PrimaryDatabase, batch: CapturedBatch) {
  assert.ok(await primary.halt(1_000));
  const position = await primary.take(bytesOf(batch));
  await primary.resume();
  return position;
}

test('what was written on a lent replica goes into the primary, and both are at the same position', async (t) => {
  const { app, primary, replica, there } = await pair(t);
  const first = "INSERT INTO t(v) VALUES ('there'), (randomblob(9000))";
  const batch = await written(replica, there, t, first, 'CREATE TABLE u(x)');
  const before = primary.position.txid;
  assert.ok(positionsEqual(await taken(primary, batch), replica.position));
  assert.equal(primary.position.txid, before + 2, 'each commit of the program counts');
  assert.deepEqual(pagesOf(primary.files), pagesOf(replica.files));
  assert.equal(app.prepare('SELECT count(*) AS count FROM t').get()?.count, 3);

  // Both go on as before.
  const following = follow(primary, replica);
  app.exec('INSERT INTO u VALUES (1)');
  await primary.capture();
  following.stop();
  assert.ok(positionsEqual(primary.position, replica.position));
  const again = await written(replica, there, t, 'DELETE FROM t');
  await taken(primary, again);
  assert.equal(app.prepare('SELECT count(*) AS count FROM t').get()?.count, 0);
});

test('the replica knows its own transaction when the primary sends it, and no other in its place', async (t) => {
  const { app, primary, replica, there } = await pair(t);
  const batches: Buffer[] = [];
  primary.addListener({ advanced: (one) => batches.push(recordBytes(one)), restarted: () => undefined });
  await taken(primary, await written(replica, there, t, 'INSERT INTO t(v) VALUES (2)'));
  const { position } = replica;
  const echo = (bytes: Buffer) => {
    const apply = replica.beginApply('next', bytes);
    apply.push(bytes);
    return apply.finish();
  };
  assert.equal(batches.length, 1);
  assert.deepEqual(echo(batches[0]), position);
  const other = await pair(t);
  other.app.exec("INSERT INTO t(v) VALUES ('another')");
  other.primary.addListener({
    advanced: (one) => batches.push(recordBytes(one)),
    restarted: () => undefined,
  });
  await other.primary.capture();
  assert.equal(other.primary.position.txid, position.txid);
  assert.throws(() => echo(batches[1]), { code: 'POSITION_MISMATCH' });
  app.exec('INSERT INTO t(v) VALUES (3)');
  await primary.capture();
  applyBytes(replica, batches[2]);
  assert.ok(positionsEqual(primary.position, replica.position));
});

test('a transaction that does not follow, or is damaged, changes nothing on the primary', async (t) => {
  const { app, primary, replica, there } = await pair(t);
  const batch = await written(replica, there, t, 'INSERT INTO t(v) VALUES (2)');
  assert.ok(await primary.halt(1_000));
  const before = primary.position;
  const damaged = async function* () {
    const bytes = recordBytes(batch);
    bytes[bytes.length - 40] ^= 1;
    yield bytes;
  };
  await assert.rejects(primary.take(damaged()), { code: 'LTX_INVALID' });
  assert.deepEqual(primary.position, before);
  await primary.resume();
  await assert.rejects(primary.take(bytesOf(batch)), { code: 'LEASE_LOST' }, 'it is not halted any more');
  app.exec("INSERT INTO t(v) VALUES ('here')");
  assert.ok(await primary.halt(1_000));
  await assert.rejects(primary.take(bytesOf(batch)), { code: 'POSITION_MISMATCH' });
  await primary.fence(1_000);
  await primary.resume();
  assert.ok(primary.files.holds('write'), 'a fence outlives a halt');
  primary.unfence();
  app.exec('INSERT INTO t(v) VALUES (4)');
  assert.equal(app.prepare('SELECT count(*) AS count FROM t').get()?.count, 3);
});

test('while it is lent nothing is applied, and a writer that does not let go is waited for', async (t) => {
  const { replica, there } = await pair(t);
  const lent = await replica.lend(replica.position);
  assert.throws(() => replica.beginApply('next'), { code: 'DATABASE_BUSY' });
  await assert.rejects(replica.pin(), { code: 'DATABASE_BUSY' });
  await assert.rejects(replica.lend(replica.position), { code: 'DATABASE_BUSY' });
  assert.equal(await replica.scrub(), 0);
  const app = there.app(t);
  app.exec('BEGIN IMMEDIATE; INSERT INTO t(v) VALUES (2)');
  assert.equal(await lent.takeBack(20), 'busy');
  app.exec('ROLLBACK');
  assert.equal(await lent.takeBack(1_000), 'nothing');
  (await replica.pin()).release();
});

test('what was written on a lent replica counts for its node when the primary has it, and not before', async (t) => {
  const { app, primary, replica, there } = await pair(t);
  const batches: Buffer[] = [];
  primary.addListener({ advanced: (one) => batches.push(recordBytes(one)), restarted: () => undefined });
  const lentAt = replica.position;
  const batch = await written(replica, there, t, 'DELETE FROM t', 'INSERT INTO t(v) VALUES (1)');
  assert.equal(replica.position.txid, lentAt.txid + 2);
  assert.deepEqual(replica.provenPosition, lentAt);
  replica.confirm(lentAt);
  assert.deepEqual(replica.provenPosition, lentAt, 'the primary is not there');
  await taken(primary, batch);
  const echo = replica.beginApply('next', batches[0]);
  echo.push(batches[0] ?? Buffer.alloc(0));
  echo.finish();
  assert.deepEqual(replica.provenPosition, primary.position);

  await taken(primary, await written(replica, there, t, 'INSERT INTO t(v) VALUES (2)'));
  assert.notDeepEqual(replica.provenPosition, primary.position);
  replica.confirm(primary.position);
  assert.deepEqual(replica.provenPosition, primary.position, 'as its heartbeat says');

  await taken(primary, await written(replica, there, t, 'INSERT INTO t(v) VALUES (3)'));
  app.exec('INSERT INTO t(v) VALUES (4)');
  await primary.capture();
  applyBytes(replica, batches.at(-1) ?? Buffer.alloc(0));
  assert.deepEqual(replica.provenPosition, primary.position, 'what comes next follows on it');
  const lent = await replica.lend(replica.position);
  assert.equal(await lent.takeBack(1_000), 'nothing');
  assert.deepEqual(replica.provenPosition, primary.position);
});

test('a lent replica cannot win over one that has what was acknowledged after its lock had ended', async (t) => {
  const { app, primary, replica, there } = await pair(t);
  const standby = await installFrom(t, primary, new TestNode(t));
  const following = follow(primary, standby);
  const lent = await replica.lend(replica.position);
  const program = there.app(t);
  for (let count = 0; count < 3; count += 1) program.exec("INSERT INTO t(v) VALUES ('there')");
  app.exec("INSERT INTO t(v) VALUES ('acknowledged')");
  await primary.capture();
  following.stop();
  const positions = (at: Position) => ({ 'a.db': formatPosition(at) });
  const safe = { epoch: 3, positions: positions(primary.position) };
  const record = { epoch: 3, holder: null, standby: null, positions: {}, safe };
  const obstacle = ({ provenPosition }: ReplicaDatabase) =>
    obstacleTo({ node: 'c', candidate: true, epoch: 3, positions: positions(provenPosition) }, record);
  assert.match(obstacle(replica) ?? '', /lacks acknowledged transactions/, 'while it is lent');
  await lent.takeBack(1_000);
  assert.ok(replica.position.txid > primary.position.txid);
  assert.match(obstacle(replica) ?? '', /lacks acknowledged transactions/, 'unconfirmed');
  assert.equal(obstacle(standby), undefined);

  await replica.close();
  const set = new ReplicaSet(there.context, there.directory);
  await set.start();
  t.after(() => set.stop());
  const again = set.get('a.db');
  assert.ok(again && again.position.txid > primary.position.txid);
  assert.match(obstacle(again) ?? '', /lacks acknowledged transactions/, 'after a restart');
});

test('what a program wrote on a lent replica before its node died is in the log after the start', async (t) => {
  const { replica, there } = await pair(t);
  const lentAt = replica.position;
  const lent = await replica.lend(lentAt);
  const program = there.app(t);
  program.exec("INSERT INTO t(v) VALUES ('there')");
  lent.abandon();
  await replica.close();
  const set = new ReplicaSet(there.context, there.directory);
  await set.start();
  t.after(() => set.stop());
  const again = set.get('a.db');
  assert.ok(again);
  assert.equal(again.position.txid, lentAt.txid + 1);
  assert.deepEqual(again.provenPosition, lentAt);
  assert.throws(() => program.exec('PRAGMA busy_timeout = 0; INSERT INTO t(v) VALUES (0)'), /locked/);
});
