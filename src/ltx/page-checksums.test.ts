import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SkeinError } from '../base/errors.ts';
import { lockPageNumber } from '../sqlite/page-number.ts';
import { PageChecksums, pageChecksum } from './page-checksums.ts';
import { checksumFlag } from './position.ts';

const pageSize = 512;

function pageOf(byte: number): Uint8Array {
  return new Uint8Array(pageSize).fill(byte);
}

/** The definition: XOR of all pages, first bit set. */
function checksumOfPages(pages: Map<number, number>): bigint {
  let sum = 0n;
  for (const [page, byte] of pages) sum ^= pageChecksum(page, pageOf(byte));
  return sum | checksumFlag;
}

const someSteps = fc.array(
  fc.oneof(
    fc.record({ set: fc.integer({ min: 1, max: 200 }), byte: fc.nat(255) }),
    fc.record({ truncate: fc.nat(200) }),
  ),
  { maxLength: 60 },
);

test('after any pages set and dropped, the checksum is that of the pages that remain', () => {
  fc.assert(
    fc.property(someSteps, (steps) => {
      const checksums = new PageChecksums(pageSize);
      const pages = new Map<number, number>();
      let commit = 0;
      for (const step of steps) {
        if ('set' in step) {
          checksums.setPage(step.set, pageOf(step.byte));
          pages.set(step.set, step.byte);
          commit = Math.max(commit, step.set);
        } else {
          checksums.truncate(step.truncate);
          for (const page of pages.keys()) if (page > step.truncate) pages.delete(page);
          commit = step.truncate;
        }
        assert.equal(checksums.checksum, checksumOfPages(pages));
        assert.equal(checksums.commit, commit);
      }
      for (const copy of [checksums.clone(), PageChecksums.decode(pageSize, checksums.encode())]) {
        assert.equal(copy.checksum, checksums.checksum);
        assert.equal(copy.commit, commit);
        for (let page = 1; page <= 210; page++) {
          assert.ok(copy.equalsAt(page, checksums.highAt(page), checksums.lowAt(page)));
        }
      }
    }),
  );
});

test('a page counts with its CRC, big-endian number first, first bit set', () => {
  const checksums = new PageChecksums(pageSize);
  checksums.setPage(1, pageOf(7));
  const expected = pageChecksum(1, pageOf(7));
  assert.ok(checksums.equalsAt(1, Number(expected >> 32n), Number(expected & 0xffffffffn)));
  assert.equal(checksums.checksum, expected);
  assert.ok(checksums.equalsAt(2, 0, 0));
  assert.ok(!checksums.equalsAt(1, 0, 0));
});

test('a clone goes its own way', () => {
  const checksums = new PageChecksums(pageSize);
  checksums.setPage(1, pageOf(1));
  const before = checksums.checksum;
  checksums.clone().setPage(1, pageOf(2));
  assert.equal(checksums.checksum, before);
});

test('the lock page never counts and moves nothing', () => {
  const large = new PageChecksums(65536);
  const lockPage = lockPageNumber(65536);
  assert.equal(lockPage, 16385);
  large.setPage(lockPage, new Uint8Array(65536));
  assert.equal(large.commit, 0);
  large.setPage(lockPage + 1, new Uint8Array(65536));
  assert.equal(large.commit, lockPage + 1);
  assert.ok(large.equalsAt(lockPage, 0, 0));
  assert.equal(large.encode().length, 8 * (lockPage + 1));
  assert.equal(PageChecksums.decode(65536, large.encode()).checksum, large.checksum);
});

test('no pages give a checksum of just its first bit', () => {
  assert.equal(new PageChecksums(pageSize).checksum, checksumFlag);
});

test('bytes that encode no checksums are refused', () => {
  const invalid = (error: unknown) => error instanceof SkeinError && error.code === 'LTX_INVALID';
  assert.throws(() => PageChecksums.decode(pageSize, new Uint8Array(7)), invalid);
  assert.throws(() => PageChecksums.decode(pageSize, Uint8Array.of(0x7f, 0, 0, 0, 0, 0, 0, 1)), invalid);
  const lockPage = new Uint8Array(8 * lockPageNumber(65536));
  lockPage[lockPage.length - 8] = 0x80;
  assert.throws(() => PageChecksums.decode(65536, lockPage), invalid);
});
