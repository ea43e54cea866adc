import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SkeinError } from '../base/errors.ts';
import { decodeHeader, encodeHeader, isSnapshot, type LtxHeader, noChecksumFlag } from './header.ts';
import { checksum, checksumFlag, txid } from './position.ts';
import { decodeTrailer, encodeTrailer, validateTrailer } from './trailer.ts';

const invalid = (error: unknown) => error instanceof SkeinError && error.code === 'LTX_INVALID';

const change: LtxHeader = {
  flags: 0,
  pageSize: 4096,
  commit: 10,
  minTxid: txid(2),
  maxTxid: txid(3),
  timestampMs: 1_700_000_000_000,
  preApplyChecksum: checksum(checksumFlag | 5n),
  walOffset: 32,
  walSize: 4120,
  walSalt1: 0xfffffffe,
  walSalt2: 1,
  nodeId: 2n ** 64n - 1n,
};

test('a header survives being written and read', () => {
  const someUint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const someHeader = fc.record({
    pageSize: fc.integer({ min: 9, max: 16 }).map((power) => 2 ** power),
    commit: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    timestampMs: fc.maxSafeInteger(),
    walOffset: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    walSize: fc.maxSafeNat(),
    walSalt1: someUint32,
    walSalt2: someUint32,
    nodeId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });
  fc.assert(
    fc.property(someHeader, fc.integer({ min: 1, max: 2 ** 40 }), fc.nat(2 ** 30), (fields, min, span) => {
      const preApplyChecksum = min === 1 ? checksum(0n) : change.preApplyChecksum;
      const header = {
        ...change,
        ...fields,
        minTxid: txid(min),
        maxTxid: txid(min + span),
        preApplyChecksum,
      };
      const decoded = decodeHeader(encodeHeader(header));
      assert.deepEqual(decoded, header);
      assert.equal(isSnapshot(decoded), min === 1);
    }),
  );
});

test('every rule on the fields of a header holds when it is written', () => {
  const none = checksum(0n);
  const broken: Partial<LtxHeader>[] = [
    { flags: 1 },
    { flags: 3 },
    { pageSize: 1000 },
    { pageSize: 256 },
    { pageSize: 131072 },
    { commit: 2 ** 32 - 1 },
    { commit: -1 },
    { minTxid: txid(0) },
    { minTxid: txid(4) },
    { maxTxid: txid(0) },
    { timestampMs: 0.5 },
    { preApplyChecksum: none },
    { minTxid: txid(1) },
    { flags: noChecksumFlag },
    { walOffset: -1 },
    { walSize: -1 },
    { walOffset: 0 },
    { walOffset: 0, walSize: 0, walSalt2: 0 },
    { walOffset: 0, walSize: 0, walSalt1: 0 },
    { nodeId: 1n << 64n },
    { nodeId: -1n },
  ];
  for (const fields of broken) {
    assert.throws(() => encodeHeader({ ...change, ...fields }), invalid, Object.keys(fields).join());
  }
  encodeHeader({ ...change, minTxid: txid(1), preApplyChecksum: none });
  encodeHeader({ ...change, flags: noChecksumFlag, preApplyChecksum: none });
  encodeHeader({ ...change, walOffset: 0, walSize: 0, walSalt1: 0, walSalt2: 0 });
});

test('every rule on the bytes of a header holds when it is read', () => {
  const broken: [offset: number, byte: number][] = [
    [0, 0x4d], // magic
    [7, 4], // flags
    [10, 0x11], // page size
    [16, 1], // min TXID beyond what Skein can count
    [40, 0x05], // pre-apply checksum without its first bit
    [48, 0x80], // negative WAL offset
    [56, 0x80], // negative WAL size
    [80, 1], // reserved
    [99, 1],
  ];
  for (const [offset, byte] of broken) {
    const bytes = encodeHeader(change);
    bytes[offset] = byte;
    assert.throws(() => decodeHeader(bytes), invalid, `byte ${offset}`);
  }
});

test('a trailer survives being written and read, and belongs to its header', () => {
  const trailer = {
    postApplyChecksum: checksum(checksumFlag | 1n),
    fileChecksum: checksum(checksumFlag | 2n),
  };
  assert.deepEqual(decodeTrailer(encodeTrailer(trailer)), trailer);
  validateTrailer(trailer, change);
  const none = checksum(0n);
  const without = { ...change, flags: noChecksumFlag, preApplyChecksum: none };
  validateTrailer({ ...trailer, postApplyChecksum: none }, without);
  assert.throws(() => validateTrailer(trailer, without), invalid);
  assert.throws(() => validateTrailer({ ...trailer, postApplyChecksum: none }, change), invalid);
  assert.throws(() => validateTrailer({ ...trailer, fileChecksum: none }, change), invalid);
  assert.throws(() => decodeTrailer(new Uint8Array(16).fill(1)), invalid);
});
