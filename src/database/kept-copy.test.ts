import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { keepCopy } from './kept-copy.ts';
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
