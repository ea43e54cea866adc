import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithout } from '../../test/tools.ts';
import { InjectedCopy } from './injection-test-support.ts';
import { SqliteProgram, sqlitePages } from './test-support.ts';
import { WalInjector } from './wal-injector.ts';

const skip = skipWithout('sqlite3');

test('a reader keeps its snapshot, holds up a restart, and sees the newest state after it', {
  skip,
}, async (t) => {
  const copy = new InjectedCopy(t, 4096);
  const reader = SqliteProgram.start(t, copy.copyPath);
  copy.original.exec("INSERT INTO t VALUES (1, 'first')");
  copy.ship();
  assert.equal(await reader.run('BEGIN; SELECT v FROM t;'), 'first');
  copy.original.exec("UPDATE t SET v = 'second'");
  copy.ship();
  assert.equal(await reader.run('SELECT v FROM t;'), 'first');
  assert.equal(copy.checkpoint(), false, 'the reader needs frames that are in the WAL');
  assert.equal(copy.injector.tryRestart(), false);
  assert.equal(await reader.run('COMMIT; SELECT v FROM t;'), 'second');
  assert.equal(copy.checkpoint(), true);
  await reader.run('BEGIN; SELECT v FROM t;');
  assert.equal(copy.injector.tryRestart(), true, "a reader of the file alone is in nobody's way");
  copy.original.exec("UPDATE t SET v = 'third'");
  copy.ship();
  assert.equal(copy.injector.maxFrame > 0, true);
  assert.equal(await reader.run('SELECT v FROM t;'), 'second');
  assert.equal(await reader.run('COMMIT; SELECT v FROM t; PRAGMA integrity_check;'), 'third\nok');
});

test('readers in another process never see an error, half a transaction or a step back', {
  skip,
}, async (t) => {
  const copy = new InjectedCopy(t, 1024);
  copy.original.exec('INSERT INTO t SELECT value, 0 FROM json_each(json_array(1,2,3,4,5,6,7,8,9,10))');
  copy.ship();
  const readers = Array.from({ length: 2 }, () => SqliteProgram.start(t, copy.copyPath));
  let applied = 0;
  let done = false;
  const reads = readers.map(async (reader) => {
    let last = 0;
    while (!done) {
      const answer = await reader.run(
        'SELECT min(CAST(v AS INT)), max(CAST(v AS INT)) FROM t; PRAGMA quick_check;'.repeat(5),
      );
      for (const [, low, high] of answer.matchAll(/(\d+)\|(\d+)\nok/g)) {
        assert.equal(low, high, 'one transaction wrote all rows');
        assert.ok(Number(low) >= last, 'never a step back');
        last = Number(low);
      }
      assert.equal(answer.match(/\d+\|\d+\nok/g)?.length, 5, answer);
    }
    assert.ok(last > 0);
  });
  for (let round = 1; round <= 400; round += 1) {
    copy.original.exec(`UPDATE t SET v = '${String(round).padStart(round % 300, '0')}'`);
    copy.ship();
    applied = round;
    if (round % 25 === 0 && copy.checkpoint()) copy.injector.tryRestart();
    await new Promise(setImmediate);
  }
  done = true;
  await Promise.all(reads);
  const [reader] = readers;
  assert.equal(await reader.run('SELECT DISTINCT CAST(v AS INT) FROM t;'), String(applied));
});

test('nothing is seen of a transaction before its commit', { skip }, async (t) => {
  const copy = new InjectedCopy(t, 512);
  const reader = SqliteProgram.start(t, copy.copyPath);
  copy.original.exec('INSERT INTO t VALUES (1, randomblob(3000000))');
  const { next, commit, last } = copy.add();
  last();
  assert.equal(await reader.run('SELECT count(*) FROM t; PRAGMA integrity_check;'), '0\nok');
  copy.injector.commit(commit);
  assert.equal(await reader.run('SELECT count(*) FROM t; PRAGMA integrity_check;'), '1\nok');
  assert.ok(sqlitePages(copy.files.connection).equals(next));
});

test('with WRITE given back SQLite writes on behind what was injected, and the next injector behind SQLite', {
  skip,
}, async (t) => {
  for (const restart of [false, true]) {
    const copy = new InjectedCopy(t, 4096);
    const program = SqliteProgram.start(t, copy.copyPath);
    copy.original.exec('INSERT INTO t VALUES (1, randomblob(30000))');
    copy.ship();
    if (restart) assert.ok(copy.checkpoint() && copy.injector.tryRestart());
    assert.match(await program.run('INSERT INTO t VALUES (2, 2);'), /locked/);
    copy.files.unlock('write');
    assert.equal(await program.run('INSERT INTO t VALUES (2, 2); SELECT count(*) FROM t;'), '2');
    assert.ok(copy.files.tryLock('write'));
    const next = new WalInjector(copy.files);
    const commit = copy.pages.length / 4096;
    for (let page = 1; page <= commit; page += 1) {
      next.addPage(page, copy.pages.subarray((page - 1) * 4096, page * 4096), page === commit ? commit : 0);
    }
    next.commit(commit);
    assert.equal(await program.run('SELECT count(*) FROM t; PRAGMA integrity_check;'), '1\nok');
    assert.ok(sqlitePages(copy.files.connection).equals(copy.pages));
  }
});

test('a restart is refused while frames are not in the database file, and of an empty WAL', (t) => {
  const copy = new InjectedCopy(t, 4096);
  assert.equal(copy.injector.tryRestart(), false, 'empty');
  copy.original.exec('INSERT INTO t VALUES (1, 1)');
  copy.ship();
  assert.equal(copy.injector.tryRestart(), false, 'not moved');
  assert.ok(copy.checkpoint());
  assert.equal(copy.injector.tryRestart(), true);
  assert.equal(copy.injector.maxFrame, 0);
  assert.equal(copy.injector.tryRestart(), false, 'empty again');
  assert.ok(sqlitePages(copy.files.connection).equals(copy.pages));
});
