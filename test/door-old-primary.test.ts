import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missesNothing } from './faults/old-primary.ts';
import { World } from './faults/world.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');

for (const rows of [0, 30]) {
  test(`nobody misses a confirmed write behind the door of an old primary that has ${rows} rows of its own`, {
    skip,
  }, async (t) => {
    const environment = { SKEIN_HTTP_READ_WAIT: '1s' };
    const world = await World.open(t, { lease: 'file', count: 3, environment });
    await missesNothing(world, rows, async (node, value) => {
      assert.ok(await node.write(value));
    });
  });
}
