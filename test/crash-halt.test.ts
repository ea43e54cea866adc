import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { createNotes, enter, hold, lostEntries, runHalted, withNotes } from './support/halt-lock.ts';
import { durable, TestCandidates } from './support/test-candidates.ts';
import { TestCluster } from './support/test-cluster.ts';
import { endOf } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
const shortTtl = { SKEIN_TEST_HALT_TTL_MS: '1500' };

test('a holder that dies frees the primary after its time, and what it wrote is kept where it wrote it', {
  skip,
}, async (t) => {
  const cluster = await withNotes(t, { replicas: 1, environment: shortTtl });
  const { primary, replica } = cluster;
  await hold(replica);
  await sqlite3(replica.path('app.db'), enter);
  await replica.kill();
  // It waits for the lock until the time is over.
  await sqlite3(primary.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
  await replica.start();
  await assertInStep(cluster);
  assert.equal(await sqlite3(replica.path('app.db'), 'SELECT text FROM notes'), 'here');
  assert.equal(lostEntries(replica).length, 1, replica.tail());
  assert.equal(existsSync(replica.path('.skein/lent/app.db')), false);
});

test('a primary that dies under a halt lock goes on without what it was not sent, which is kept', {
  skip,
}, async (t) => {
  const cluster = await withNotes(t, { replicas: 1, environment: shortTtl });
  const { primary, replica } = cluster;
  const lock = await hold(replica);
  await sqlite3(replica.path('app.db'), enter);
  await primary.kill();
  assert.match(await lock.release(), /PRIMARY_UNREACHABLE/);
  await primary.start();
  await sqlite3(primary.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
  await assertInStep(cluster);
  assert.equal(await sqlite3(primary.path('app.db'), 'SELECT text FROM notes'), 'here');
  assert.equal(lostEntries(replica).length, 1, replica.tail());
});

const crashes = [
  { where: 'replica', failpoint: 'halt:captured', isTaken: false },
  // In the WAL: SQLite finds it there when it opens the database again.
  { where: 'primary', failpoint: 'apply:frames-written', isTaken: true },
  { where: 'primary', failpoint: 'take:written', isTaken: true },
] as const;

for (const { where, failpoint, isTaken } of crashes) {
  const outcome = isTaken ? 'both nodes with it' : 'both nodes without it, and a copy';
  test(`a crash of the ${where} at ${failpoint} leaves ${outcome}`, { skip }, async (t) => {
    const cluster = await TestCluster.create(t, { replicas: 1, environment: shortTtl });
    const { primary, replica } = cluster;
    const victim = where === 'primary' ? primary : replica;
    await primary.start();
    await replica.start();
    await createNotes(cluster);
    await victim.stop();
    await victim.start({ SKEIN_TEST_FAILPOINT: `${failpoint}#1` });
    await cluster.waitInStep();
    const { code } = await runHalted(replica, 'sqlite3', replica.path('app.db'), enter);
    assert.equal(code, 1, 'nobody is told that it worked');
    await endOf(victim);
    await victim.start();
    await sqlite3(primary.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
    await assertInStep(cluster);
    const notes = await sqlite3(primary.path('app.db'), 'SELECT text FROM notes');
    assert.equal(notes, isTaken ? 'there\nhere' : 'here');
    assert.equal(lostEntries(replica).length, isTaken ? 0 : 1, replica.tail());
  });
}

test('a replica that comes to lead while its programs write keeps what they wrote', { skip }, async (t) => {
  const candidates = await TestCandidates.start(t, { count: 2 });
  const leader = await candidates.leader();
  const [replica] = candidates.others(leader);
  await sqlite3(
    leader.path('app.db'),
    'PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)',
  );
  await candidates.waitInStep();
  await durable(leader, candidates.nodes);
  const lock = await hold(replica);
  await sqlite3(replica.path('app.db'), enter);
  await leader.kill();
  await candidates.leader([replica]);
  assert.match(await lock.release(), /"error"/, 'the primary that gave the lock did not confirm it');
  await sqlite3(replica.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
  assert.equal(await sqlite3(replica.path('app.db'), 'SELECT text FROM notes'), 'there\nhere');
  await leader.start();
  await assertInStep(candidates);
  for (const node of candidates.nodes) assert.deepEqual(lostEntries(node), [], node.tail());
});

test('a program that holds the lock when its node is to lead is killed, and the node leads', {
  skip,
}, async (t) => {
  const candidates = await TestCandidates.start(t, { count: 2 });
  const leader = await candidates.leader();
  const [replica] = candidates.others(leader);
  const setup = 'PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)';
  await sqlite3(leader.path('app.db'), setup);
  await candidates.waitInStep();
  await durable(leader, candidates.nodes);
  const program = `import sqlite3, time
connection = sqlite3.connect('${replica.path('app.db')}', isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
open('${replica.path('open')}', 'w')
time.sleep(60)`;
  const run = runHalted(replica, 'python3', '-c', program);
  await waitFor('the program to write', () => existsSync(replica.path('open')), {
    state: () => replica.tail(),
  });
  await leader.kill();
  await candidates.leader([replica]);
  assert.equal((await run).code, 137);
  await sqlite3(replica.path('app.db'), enter);
});
