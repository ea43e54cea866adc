import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../sqlite/test-support.ts';
import { keepCopy, setAside } from './kept-copy.ts';
import { pagesOf, TestNode } from './test-support.ts';

test('a kept copy is the pinned state, named by its position, and only the newest copies stay', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const names: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    app.exec('INSERT INTO t VALUES (NULL, randomblob(9000))');
    const pin = await primary.pin();
    const pages = pagesOf(primary.files);
    app.exec('INSERT INTO t VALUES (NULL, randomblob(9000))');
    const path = await keepCopy(node.directory.hidden, 'a.db', pin);
    pin.release();
    assert.ok(readFileSync(path).equals(pages));
    assert.match(basename(path), /^a\.db-[0-9a-f]{16}-[0-9a-f]{16}\.db$/);
    names.push(basename(path));
  }
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'lost')).sort(), names.slice(2));
});

test('copies go by age and not by TXID, and those of a database with a similar name are not touched', async (t) => {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const keep = async () => {
    app.exec('INSERT INTO t VALUES (NULL, 1)');
    const pin = await primary.pin();
    const path = await keepCopy(node.directory.hidden, 'a.db', pin);
    pin.release();
    return basename(path);
  };
  const lost = join(node.directory.hidden, 'lost');
  const first = await keep();
  const other = `a.db-x.db-${'0'.repeat(16)}-${'1'.repeat(16)}.db`;
  const higher = `a.db-${'f'.repeat(16)}-${'1'.repeat(16)}.db`;
  for (const name of [other, higher]) writeFileSync(join(lost, name), 'x');
  // A program that restores times does not make a copy old.
  utimesSync(join(lost, higher), 0, 0);
  const newest = await keep();
  assert.deepEqual(readdirSync(lost).sort(), [newest, other, higher].sort());
  assert.notEqual(first, newest);
  const last = await keep();
  assert.ok(readdirSync(lost).includes(last), 'what was kept a moment ago stays');
  assert.ok(readdirSync(lost).includes(other));
});

test('a copy for which there is no room is refused before anything is written', async (t) => {
  const node = new TestNode(t);
  node.app(t);
  const primary = await node.primary(t);
  const pin = await primary.pin();
  const vast = { ...pin, source: Object.create(pin.source, { commit: { value: 2 ** 50 } }) };
  await assert.rejects(keepCopy(node.directory.hidden, 'a.db', vast), hasCode('DISK_FULL'));
  pin.release();
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'lost')), []);
});

test('a file that is set aside takes its WAL and its journal with it, and only the newest two stay', (t) => {
  const node = new TestNode(t);
  const lost = join(node.directory.hidden, 'lost');
  for (let round = 1; round <= 3; round += 1) {
    for (const suffix of ['', '-wal', '-shm', '-journal']) writeFileSync(node.file() + suffix, `${round}`);
    const path = setAside(node.directory.hidden, node.file(), 'a.db', round);
    for (const suffix of ['', '-wal', '-journal'])
      assert.equal(readFileSync(path + suffix, 'utf8'), `${round}`);
    assert.deepEqual(readdirSync(node.path), ['.skein']);
  }
  assert.equal(readdirSync(lost).length, 6);
  assert.equal(readdirSync(lost).filter((name) => name.startsWith('a.db-0000000000001')).length, 0);
});
