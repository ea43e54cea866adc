import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { enter, hold, lostEntries, runHalted, withNotes } from './support/halt-lock.ts';
import { SqlConnection } from './support/sql-connection.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
test('what a program writes on a replica under a halt lock is on the primary when it has ended, and everywhere', {
  skip,
}, async (t) => {
  const cluster = await withNotes(t);
  const { primary, replica } = cluster;
  const open = new SqlConnection(t, replica.path('app.db'), 'python', 0);
  assert.equal(await open.error(enter), 'SQLITE_BUSY');
  const run = await runHalted(replica, 'sqlite3', replica.path('app.db'), `${enter}; ${enter}`);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stderr, /the primary has app.db at 0{14}/);
  assert.equal(await sqlite3(primary.path('app.db'), 'SELECT count(*) FROM notes'), '2');
  assert.equal(await open.error(enter), 'SQLITE_BUSY', 'nobody writes there after it');
  assert.equal(await open.value('SELECT count(*) FROM notes'), 2);
  await sqlite3(primary.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
  for (const node of cluster.replicas) {
    const again = await runHalted(node, 'sqlite3', node.path('app.db'), enter);
    assert.equal(again.code, 0, again.stderr);
  }
  await assertInStep(cluster);
  assert.equal(await sqlite3(primary.path('app.db'), 'SELECT count(*) FROM notes'), '5');
  for (const node of cluster.nodes) assert.deepEqual(lostEntries(node), [], node.name);
  assert.ok(
    !cluster.nodes.some((node) =>
      node.lines.some((line) => /POSITION_MISMATCH|sending a database what="the pages/.test(line)),
    ),
  );
});

test('the code of the program is kept, and one that writes nothing changes nothing', { skip }, async (t) => {
  const { primary, replica } = await withNotes(t);
  const before = (await primary.state()).databases['app.db']?.txid;
  assert.equal((await runHalted(replica, 'sh', '-c', 'exit 7')).code, 7);
  const onPrimary = await runHalted(primary, 'sqlite3', primary.path('app.db'), 'SELECT count(*) FROM notes');
  assert.deepEqual([onPrimary.code, onPrimary.stdout], [0, '0\n']);
  assert.equal((await primary.state()).databases['app.db']?.txid, before);
  const none = await replica.skein('run', '-with-halt-lock-on', 'none.db', '--', 'true');
  assert.equal(none.code, 1);
  assert.match(none.stderr, /DATABASE_NOT_FOUND/);
});

test('writers on the primary wait for a halt lock, and one holder waits for another', { skip }, async (t) => {
  const { primary, replica, replicas } = await withNotes(t);
  const here = new SqlConnection(t, primary.path('app.db'), 'python', 0);
  const lock = await hold(replica);
  assert.equal(await here.error(enter), 'SQLITE_BUSY');
  const there = new SqlConnection(t, replica.path('app.db'), 'node', 0);
  await there.run(enter);
  const second = replicas[1];
  const other = second && runHalted(second, 'sqlite3', second.path('app.db'), enter);
  assert.match(await lock.release(), /"held":false/);
  assert.equal((await other)?.code, 0);
  await here.run('PRAGMA busy_timeout = 5000');
  await here.run(enter);
  assert.equal(await here.value('SELECT count(*) FROM notes'), 3);
});

test('a primary that is stopped takes what is being written in its place first', { skip }, async (t) => {
  const cluster = await withNotes(t, { replicas: 1 });
  const { primary, replica } = cluster;
  const lock = await hold(replica);
  await sqlite3(replica.path('app.db'), enter);
  const stopped = primary.stop();
  await waitFor('the primary to stop', () => primary.lines.some((line) => /node is stopping/.test(line)));
  assert.match(await lock.release(), /"held":false/);
  await stopped;
  await primary.start();
  await assertInStep(cluster);
  assert.equal(await sqlite3(primary.path('app.db'), 'SELECT text FROM notes'), 'there');
  assert.deepEqual(lostEntries(replica), []);
});

test('what does not hold the lock, or does not follow, is not applied', { skip }, async (t) => {
  const { primary, replica } = await withNotes(t, { replicas: 1 });
  const ask = (path: string, method = 'POST', body?: string) =>
    primary.fetch(path, { method, ...(body === undefined ? {} : { body }) });
  const first = await ask('/halt?name=app.db&id=7');
  const told = (await first.json()) as { id: number; pos: { TXID: string }; expires: string };
  assert.deepEqual(
    [first.status, told.id, told.pos.TXID],
    [200, 7, (await primary.state()).databases['app.db']?.txid],
  );
  assert.ok(Date.parse(told.expires) > Date.now());
  assert.equal((await ask('/halt?name=app.db&id=7')).status, 200, 'the same id again is the same lock');
  assert.equal((await ask('/tx?name=app.db&lockID=8', 'POST', 'LTX1')).status, 409);
  assert.equal((await ask('/tx?name=app.db&lockID=7', 'POST', 'no LTX file')).status, 500);
  assert.equal((await ask('/handoff?nodeID=0000000000000001')).status, 503, 'no lead changes under it');
  assert.equal(
    (await ask('/halt?name=app.db&id=8', 'DELETE')).status,
    200,
    'of another holder: nothing is done',
  );
  const busy = new SqlConnection(t, primary.path('app.db'), 'python', 0);
  assert.equal(await busy.error(enter), 'SQLITE_BUSY');
  assert.equal((await ask('/halt?name=none.db&id=7', 'DELETE')).status, 200);
  assert.equal((await ask('/halt?name=app.db&id=7', 'DELETE')).status, 200);
  await waitFor('the primary to write again', async () => (await busy.error(enter)) === undefined);
  assert.equal((await replica.fetch('/halt?name=app.db&id=7', { method: 'POST' })).status, 421);
  assert.equal((await ask('/halt?name=none.db&id=7')).status, 404);
  assert.equal((await ask('/halt?name=app.db&id=x')).status, 400);
});

test('a lock that is never given back ends after its longest time, with all that was written under it', {
  skip,
}, async (t) => {
  const environment = { SKEIN_TEST_HALT_MAX_MS: '1500' };
  const { primary, replica } = await withNotes(t, { replicas: 1, environment });
  const lock = await hold(replica);
  await sqlite3(replica.path('app.db'), enter);
  // It waits for the lock, with a busy_timeout that is longer than that.
  await sqlite3(primary.path('app.db'), "INSERT INTO notes (text) VALUES ('here')");
  assert.equal(await sqlite3(primary.path('app.db'), 'SELECT text FROM notes'), 'there\nhere');
  assert.match(await lock.release(), /"recalled":true.*"held":false/s);
  const run = await runHalted(replica, 'sleep', '60');
  assert.equal(run.code, 137, run.stderr);
  assert.ok(replica.lines.some((line) => /held for 1500ms, the longest there is/.test(line)));
  assert.deepEqual(lostEntries(replica), []);
});

test('writers on three nodes at once, with the WAL recycled in between, lose nothing', {
  skip,
}, async (t) => {
  const cluster = await withNotes(t, { environment: { SKEIN_TEST_RECYCLE_FRAMES: '40' } });
  const { primary, replicas } = cluster;
  const rounds = 15;
  let isOver = false;
  let here = 0;
  const writing = (async () => {
    const connection = new SqlConnection(t, primary.path('app.db'), 'python', 30_000);
    for (; !isOver; here += 1)
      await connection.run('INSERT INTO notes (text) VALUES (hex(randomblob(3000)))');
  })();
  await Promise.all(
    replicas.map(async (replica) => {
      const connection = new SqlConnection(t, replica.path('app.db'), 'node', 5_000);
      for (let round = 0; round < rounds; round += 1) {
        const lock = await hold(replica);
        await connection.run(enter);
        assert.match(await lock.release(), /"held":false/, replica.tail());
      }
    }),
  );
  isOver = true;
  await writing;
  await assertInStep(cluster);
  const there = await sqlite3(primary.path('app.db'), "SELECT count(*) FROM notes WHERE text = 'there'");
  assert.equal(there, String(2 * rounds));
  const all = await sqlite3(primary.path('app.db'), 'SELECT count(*) FROM notes');
  assert.equal(all, String(here + 2 * rounds));
  for (const node of cluster.nodes) assert.deepEqual(lostEntries(node), [], node.name);
});
