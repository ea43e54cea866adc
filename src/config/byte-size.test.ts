import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatByteSize, parseByteSize } from './byte-size.ts';

test('a size is read from units of 1024, units of 1000, and plain bytes', () => {
  const cases: [number | string, number][] = [
    ['1GiB', 1024 ** 3],
    ['512 MiB', 512 * 1024 ** 2],
    ['1.5kB', 1500],
    ['2gb', 2e9],
    ['4096', 4096],
    [4096, 4096],
    ['0', 0],
  ];
  for (const [given, bytes] of cases) assert.equal(parseByteSize(given), bytes, String(given));
});

test('what is no size is refused', () => {
  for (const given of ['', 'GiB', '1 XB', '-1', '1e9', '99999999999999TiB', 1.5, -1, Number.NaN]) {
    assert.equal(parseByteSize(given), undefined, String(given));
  }
});

test('the text of a size means the same size', () => {
  assert.equal(formatByteSize(1024 ** 3), '1GiB');
  assert.equal(formatByteSize(1500), '1500B');
  fc.assert(fc.property(fc.nat(2 ** 31), (bytes) => parseByteSize(formatByteSize(bytes)) === bytes));
});
