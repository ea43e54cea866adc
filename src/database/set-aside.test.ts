import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setAside } from './set-aside.ts';
import { TestNode } from './test-support.ts';

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
