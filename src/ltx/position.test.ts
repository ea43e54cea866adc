import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionFailure } from '../base/assert.ts';
import { ltxFileName, parseLtxFileName } from './name.ts';
import {
  checksum,
  checksumFlag,
  checksumOf,
  emptyPosition,
  formatPosition,
  parsePosition,
  positionsEqual,
  txid,
} from './position.ts';

const someTxid = fc.maxSafeNat().map(txid);
const someChecksum = fc.bigInt({ min: checksumFlag, max: 2n ** 64n - 1n }).map(checksum);

test('a position survives being written and read', () => {
  fc.assert(
    fc.property(someTxid, someChecksum, (count, sum) => {
      const position = { txid: count, checksum: sum };
      const parsed = parsePosition(formatPosition(position));
      assert.ok(parsed && positionsEqual(parsed, position));
    }),
  );
});

test('a position is 33 characters, lower-case', () => {
  const position = { txid: txid(0xabc), checksum: checksum(0xfedcba9876543210n) };
  assert.equal(formatPosition(position), '0000000000000abc/fedcba9876543210');
  assert.equal(formatPosition(emptyPosition), '0000000000000000/0000000000000000');
});

test('text that is no position is refused', () => {
  const refused = [
    '',
    '0000000000000001',
    '0000000000000001/fedcba987654321',
    '0000000000000001/FEDCBA9876543210',
    '0000000000000001/fedcba9876543210\n',
    ' 000000000000001/fedcba9876543210',
    '0000000000000001/0edcba9876543210',
    '0020000000000000/fedcba9876543210',
  ];
  for (const text of refused) assert.equal(parsePosition(text), undefined, text);
});

test('numbers that are no TXID and no checksum are broken invariants', () => {
  for (const n of [-1, 0.5, 2 ** 53, Number.NaN]) assert.throws(() => txid(n), AssertionFailure);
  for (const n of [1n, -1n, checksumFlag - 1n, 1n << 64n]) assert.throws(() => checksum(n), AssertionFailure);
});

test('a checksum is made of two halves of either sign, and its first bit is set', () => {
  assert.equal(checksumOf(0, 1), 0x8000000000000001n);
  assert.equal(checksumOf(-1, -2), 0xfffffffffffffffen);
});

test('a file name survives being written and read', () => {
  const name = ltxFileName(txid(1), txid(255));
  assert.equal(name, '0000000000000001-00000000000000ff.ltx');
  assert.deepEqual(parseLtxFileName(name), { minTxid: 1, maxTxid: 255 });
});

test('a name that no file has is refused', () => {
  const refused = [
    '0000000000000001-0000000000000002',
    '0000000000000001-0000000000000002.ltx.tmp',
    '0000000000000002-0000000000000001.ltx',
    '0000000000000000-0000000000000001.ltx',
    '0000000000000001-00000000000000FF.ltx',
    '1-2.ltx',
  ];
  for (const name of refused) assert.equal(parseLtxFileName(name), undefined, name);
  assert.throws(() => ltxFileName(txid(2), txid(1)), AssertionFailure);
});
