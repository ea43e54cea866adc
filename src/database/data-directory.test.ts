import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { hasCode } from '../sqlite/test-support.ts';
import { DataDirectory, isDatabaseName } from './data-directory.ts';

function open(t: TestContext, path: string): DataDirectory {
  const directory = new DataDirectory(path);
  t.after(() => directory.close());
  return directory;
}

test('a database is a file that ends in .db and is not hidden', () => {
  for (const name of ['a.db', 'my app.db', 'ü.db', `${'x'.repeat(197)}.db`])
    assert.ok(isDatabaseName(name), name);
  for (const name of ['.db', '.a.db', 'a.db-wal', 'a.sqlite', 'db', `${'x'.repeat(198)}.db`]) {
    assert.ok(!isDatabaseName(name), name);
  }
});

test('databases are found by name, sorted, once they have a first page', (t) => {
  const path = temporaryDirectory(t);
  const directory = open(t, path);
  for (const name of ['b.db', 'a.db', 'a.db-wal', 'notes.txt', '.hidden.db'])
    writeFileSync(join(path, name), 'x');
  writeFileSync(join(path, 'empty.db'), '');
  mkdirSync(join(path, 'folder.db'));
  symlinkSync(join(path, 'b.db'), join(path, 'link.db'));
  symlinkSync(join(path, 'nowhere'), join(path, 'dangling.db'));
  assert.deepEqual(directory.databaseNames(), ['a.db', 'b.db']);
  assert.deepEqual(directory.linkNames(), ['dangling.db', 'link.db']);
  assert.deepEqual(directory.loggedNames(), []);
  mkdirSync(join(directory.hidden, 'log', 'gone.db'));
  assert.deepEqual(directory.loggedNames(), ['gone.db']);
  directory.removeLog('gone.db');
  directory.removeLog('gone.db');
  assert.deepEqual(directory.loggedNames(), []);
});

test('a directory belongs to one node at a time, and the message names its process', (t) => {
  const path = temporaryDirectory(t);
  const first = new DataDirectory(path);
  assert.throws(() => new DataDirectory(path), hasCode('DIRECTORY_IN_USE'));
  assert.throws(() => new DataDirectory(path), new RegExp(`process ${process.pid}`));
  first.close();
  open(t, path);
});

test('what an earlier run left half received is gone', (t) => {
  const path = temporaryDirectory(t);
  const first = new DataDirectory(path);
  writeFileSync(join(first.hidden, 'tmp', 'half'), 'x');
  first.close();
  open(t, path);
  assert.equal(existsSync(join(first.hidden, 'tmp', 'half')), false);
  assert.equal(existsSync(join(first.hidden, 'tmp')), true);
});

test('a file that is no database is refused before anything is made, but for one that a node had here', (t) => {
  const path = temporaryDirectory(t);
  writeFileSync(join(path, 'a.db'), 'no database'.repeat(500));
  assert.throws(() => new DataDirectory(path), hasCode('DATABASE_NOT_SQLITE'));
  assert.equal(existsSync(join(path, '.skein')), false);
  mkdirSync(join(path, '.skein/log/a.db'), { recursive: true });
  assert.throws(() => new DataDirectory(path), hasCode('DATABASE_NOT_SQLITE'), 'an empty log is none');
  writeFileSync(join(path, '.skein/log/a.db/segment'), '');
  assert.equal(open(t, path).hasLog('a.db'), true);
});

test('a missing directory is made, and a path that cannot be one is refused with what to do', (t) => {
  const parent = temporaryDirectory(t);
  open(t, join(parent, 'new', 'data'));
  writeFileSync(join(parent, 'file'), '');
  assert.throws(() => new DataDirectory(join(parent, 'file')), hasCode('DIRECTORY_NOT_WRITABLE'));
  assert.throws(() => new DataDirectory(join(parent, 'file')), /\[database\] dir/);
});

test('a directory that was moved away is no longer in place', (t) => {
  const parent = temporaryDirectory(t);
  const directory = open(t, join(parent, 'data'));
  assert.equal(directory.isStillInPlace(), true);
  renameSync(join(parent, 'data'), join(parent, 'moved'));
  assert.equal(directory.isStillInPlace(), false);
  mkdirSync(join(parent, 'data'));
  assert.equal(directory.isStillInPlace(), false);
  const second = new DataDirectory(join(parent, 'data'));
  assert.equal(directory.isStillInPlace(), false);
  second.close();
});

for (const [what, locks] of [
  ['are not told of each other', { tryExclusive: () => true, unlock: () => undefined }],
  [
    'do not exist',
    {
      tryExclusive: () => {
        throw Object.assign(new Error('no locks available'), { code: 'ENOLCK' });
      },
      unlock: () => undefined,
    },
  ],
] as const) {
  test(`a file system whose locks ${what} is refused, and nothing is left there`, (t) => {
    const parent = temporaryDirectory(t);
    const path = join(parent, 'deep', 'data');
    assert.throws(() => new DataDirectory(path, locks), hasCode('LOCKS_UNSUPPORTED'));
    assert.deepEqual(readdirSync(parent), []);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'notes.txt'), 'x');
    assert.throws(() => new DataDirectory(path, locks), hasCode('LOCKS_UNSUPPORTED'));
    assert.deepEqual(readdirSync(path), ['notes.txt']);
  });
}
