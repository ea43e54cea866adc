import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearest } from './nearest.ts';

test('insertions, deletions, replacements and swaps each count one', () => {
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('listen', 'listne'), 1);
  assert.equal(editDistance('region', 'regoin'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});

test('the nearest candidate is found, by distance or by its last part, and none when all are far', () => {
  const candidates = ['database.dir', 'node.secret', 'app'];
  assert.equal(nearest('databse.dir', candidates), 'database.dir');
  assert.equal(nearest('secret', candidates), 'node.secret');
  assert.equal(nearest('telemetry', candidates), undefined);
  assert.equal(nearest('xyz', candidates), undefined);
});
