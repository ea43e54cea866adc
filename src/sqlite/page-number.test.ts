import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionFailure } from '../base/assert.ts';
import { isPageSize, lockPageNumber, pageNumber } from './page-number.ts';

test('the lock page is the one that holds byte 0x40000000', () => {
  assert.equal(lockPageNumber(512), 2097153);
  assert.equal(lockPageNumber(4096), 262145);
  assert.equal(lockPageNumber(65536), 16385);
});

test('page sizes are the powers of two from 512 to 65536', () => {
  const sizes = Array.from({ length: 70000 }, (_, i) => i).filter(isPageSize);
  assert.deepEqual(sizes, [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);
  assert.ok(!isPageSize(2 ** 32 + 512));
  assert.ok(!isPageSize(Number.NaN));
});

test('a page number out of range is a broken invariant', () => {
  assert.equal(pageNumber(2 ** 32 - 2), 2 ** 32 - 2);
  for (const n of [0, -1, 1.5, 2 ** 32 - 1, Number.NaN]) assert.throws(() => pageNumber(n), AssertionFailure);
});
