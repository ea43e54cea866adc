import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptBody } from './kept-body.ts';

test('a body is kept up to its limit and to that of all together, and then not at all', () => {
  const all = { bytesMax: 10, bytesMaxOfOne: 6, bytes: 0 };
  const one = new KeptBody(all);
  one.add(Buffer.from('abc'));
  one.add(Buffer.from('def'));
  assert.deepEqual([one.isWhole, one.bytes, all.bytes], [true, 6, 6]);
  const other = new KeptBody(all);
  other.add(Buffer.from('abcde'));
  assert.deepEqual([other.isWhole, all.bytes], [false, 6], 'there is no room for it');
  one.add(Buffer.from('g'));
  assert.deepEqual([one.isWhole, one.parts, all.bytes], [false, [], 0]);
  assert.deepEqual([one.isUnused(7), one.isUnused(6)], [true, false]);
  one.drop();
  assert.equal(all.bytes, 0);
});
