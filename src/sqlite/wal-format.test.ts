import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { temporaryDirectory } from '../base/test-support.ts';
import { hasCode, newDatabase, pageSizes } from './test-support.ts';
import {
  addWalChecksum,
  decodeWalHeader,
  encodeWalHeader,
  frameHeaderBytes,
  frameOffset,
  type WalChecksum,
  walHeaderBytes,
} from './wal-format.ts';

/** From the text of SQLite's file format page, step by step. */
function slowChecksum(bytes: Buffer, seed: WalChecksum, bigEndian: boolean): WalChecksum {
  let first = BigInt(seed.first);
  let second = BigInt(seed.second);
  const word = (offset: number) =>
    BigInt(bigEndian ? bytes.readUInt32BE(offset) : bytes.readUInt32LE(offset));
  for (let offset = 0; offset < bytes.length; offset += 8) {
    first = BigInt.asUintN(32, first + word(offset) + second);
    second = BigInt.asUintN(32, second + word(offset + 4) + first);
  }
  return { first: Number(first), second: Number(second) };
}

test('the checksum is the one of the file format, wherever the bytes lie and in both byte orders', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const content = fc.array(fc.tuple(word, word), { maxLength: 40 });
  fc.assert(
    fc.property(content, word, word, fc.boolean(), fc.nat(7), (words, first, second, bigEndian, shift) => {
      const bytes = Buffer.from(new ArrayBuffer(words.length * 8 + shift));
      for (const [index, pair] of words.entries()) {
        bytes.writeUInt32LE(pair[0], shift + index * 8);
        bytes.writeUInt32LE(pair[1], shift + index * 8 + 4);
      }
      const checksum = { first, second };
      addWalChecksum(checksum, bytes, shift, bytes.length, bigEndian);
      assert.deepEqual(checksum, slowChecksum(bytes.subarray(shift), { first, second }, bigEndian));
    }),
  );
});

test("SQLite's own WAL headers decode, at every page size, and encode to the same bytes", (t) => {
  const directory = temporaryDirectory(t);
  for (const pageSize of pageSizes) {
    const path = join(directory, `${pageSize}.db`);
    newDatabase(t, path, pageSize);
    const wal = readFileSync(`${path}-wal`);
    const header = decodeWalHeader(wal);
    assert.equal(header.pageSize, pageSize);
    assert.equal((wal.length - walHeaderBytes) % (frameHeaderBytes + pageSize), 0);
    assert.equal(wal.readUInt32BE(frameOffset(1, pageSize) + 8), header.salt1);
    assert.equal(wal.readUInt32BE(frameOffset(2, pageSize) + 12), header.salt2);
    const checksum = { first: 0, second: 0 };
    assert.deepEqual(encodeWalHeader(header, checksum), wal.subarray(0, walHeaderBytes));
    assert.deepEqual(checksum, header.checksum);
  }
});

test('any header survives being written and read', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const someHeader = fc.record({
    bigEndian: fc.boolean(),
    pageSize: fc.constantFrom(...pageSizes),
    checkpointCount: word,
    salt1: word,
    salt2: word,
  });
  fc.assert(
    fc.property(someHeader, (header) => {
      const checksum = { first: 0, second: 0 };
      assert.deepEqual(decodeWalHeader(encodeWalHeader(header, checksum)), { ...header, checksum });
    }),
  );
});

test('a header with any bit flipped is refused', () => {
  const bytes = encodeWalHeader(
    { bigEndian: false, pageSize: 4096, checkpointCount: 7, salt1: 0x01234567, salt2: 0x89abcdef },
    { first: 0, second: 0 },
  );
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const broken = Buffer.from(bytes);
    broken[bit >> 3] ^= 1 << (bit & 7);
    assert.throws(() => decodeWalHeader(broken), hasCode('WAL_CORRUPT'), `bit ${bit}`);
  }
});
