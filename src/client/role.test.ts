import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StandInNode } from './test-support.ts';

test('events that say nothing of the role leave it as it is', async (t) => {
  const node = await StandInNode.start(t);
  const { role } = await node.local();
  assert.equal(role.isPrimary, true);
  node.lose();
  await role.changed(5_000);
  assert.deepEqual([role.isPrimary, role.primary], [true, 'self']);
  node.become(false, 'other');
  await role.changed(5_000);
  node.lose();
  await role.changed(5_000);
  assert.deepEqual([role.isPrimary, role.primary], [false, 'other']);
});
