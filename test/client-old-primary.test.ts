import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { missesNothing } from './faults/old-primary.ts';
import { World } from './faults/world.ts';

const app = resolve(import.meta.dirname, 'client-apps/marks-app.js');

for (const rows of [0, 30]) {
  test(`nobody misses a confirmed write in the app of an old primary that has ${rows} rows of its own`, async (t) => {
    const library = `exec '${process.execPath}' --disable-warning=ExperimentalWarning '${app}'`;
    const world = await World.open(t, { lease: 'file', count: 3, library });
    await missesNothing(world, rows, async (node, value) => {
      const { status } = await fetch(`${node.appUrl}/own`, {
        method: 'POST',
        body: JSON.stringify({ value }),
      });
      assert.equal(status, 200);
    });
  });
}
