import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { SkeinError } from '../base/errors.ts';
import { pageNumber } from '../sqlite/page-number.ts';
import { LtxDecoder } from './decoder.ts';
import { LtxEncoder } from './encoder.ts';
import { type LtxHeader, noChecksumFlag } from './header.ts';
import { type Checksum, checksum, checksumFlag, txid } from './position.ts';
import type { LtxTrailer } from './trailer.ts';

type Page = readonly [page: number, data: Uint8Array];
type Decoded = { header: LtxHeader; trailer: LtxTrailer; pages: Page[] };

const change: LtxHeader = {
  flags: 0,
  pageSize: 512,
  commit: 9,
  minTxid: txid(5),
  maxTxid: txid(6),
  timestampMs: 1_700_000_000_000,
  preApplyChecksum: checksum(checksumFlag | 1n),
  walOffset: 0,
  walSize: 0,
  walSalt1: 0,
  walSalt2: 0,
  nodeId: 0n,
};
const snapshot: LtxHeader = { ...change, commit: 2, minTxid: txid(1), preApplyChecksum: checksum(0n) };
const postApply = checksum(checksumFlag | 2n);
const invalid = (error: unknown) => error instanceof SkeinError && error.code === 'LTX_INVALID';

function encode(header: LtxHeader, pages: readonly Page[], after: Checksum = postApply): Buffer {
  const chunks: Uint8Array[] = [];
  const encoder = new LtxEncoder(header, (bytes) => chunks.push(bytes.slice()));
  for (const [page, data] of pages) encoder.writePage(pageNumber(page), data);
  encoder.finish(after);
  return Buffer.concat(chunks);
}

/** Decodes `file` in chunks of the sizes given, over and over. */
function decode(file: Uint8Array, chunkBytes: readonly number[] = [file.length]): Decoded {
  const pages: Page[] = [];
  let first: LtxHeader | undefined;
  const decoder = new LtxDecoder({
    header: (header) => {
      first = header;
    },
    page: (page, data) => pages.push([page, data.slice()]),
  });
  for (let start = 0, i = 0; start < file.length; i++) {
    const end = start + chunkBytes[i % chunkBytes.length];
    decoder.push(file.subarray(start, end));
    start = end;
  }
  const { header, trailer } = decoder.end();
  assert.equal(first, header);
  return { header, trailer, pages };
}

function plainPages(pages: readonly Page[]): [number, string][] {
  return pages.map(([page, data]) => [page, Buffer.from(data).toString('hex')]);
}

/** Two pages of 512 bytes, their blocks nothing but literals, written by hand from the format. */
function goldenFile(): Buffer {
  const literals = (byte: number) => Buffer.concat([Buffer.of(0xf0, 0xff, 0xf2), Buffer.alloc(512, byte)]);
  return Buffer.concat([
    Buffer.from('LTX1'),
    Buffer.from('00000000' + '00000200' + '00000002', 'hex'),
    Buffer.from('0000000000000001' + '0000000000000003' + '0000000102030405', 'hex'),
    Buffer.from('0000000000000000' + '0000000000000020' + '0000000000000430', 'hex'),
    Buffer.from('a1a2a3a4' + 'b1b2b3b4' + '00000000000000c1', 'hex'),
    Buffer.alloc(20),
    Buffer.from('00000001' + '0001' + '00000203', 'hex'),
    literals(0x11),
    Buffer.from('00000002' + '0001' + '00000203', 'hex'),
    literals(0x22),
    Buffer.alloc(6),
    Buffer.from('01' + '64' + '8d04', 'hex'), // page 1 at 100, 525 bytes
    Buffer.from('02' + 'f104' + '8d04', 'hex'), // page 2 at 625, 525 bytes
    Buffer.from('00' + '000000000000000a', 'hex'),
    Buffer.from('8000000000000002' + 'dd1e6dcef6b2a6e3', 'hex'),
  ]);
}

test('a file written by hand from the format decodes', () => {
  const { header, trailer, pages } = decode(goldenFile());
  assert.deepEqual(header, {
    flags: 0,
    pageSize: 512,
    commit: 2,
    minTxid: 1,
    maxTxid: 3,
    timestampMs: 0x0102030405,
    preApplyChecksum: 0n,
    walOffset: 32,
    walSize: 1072,
    walSalt1: 0xa1a2a3a4,
    walSalt2: 0xb1b2b3b4,
    nodeId: 0xc1n,
  });
  assert.equal(trailer.postApplyChecksum, postApply);
  assert.deepEqual(plainPages(pages), [
    [1, '11'.repeat(512)],
    [2, '22'.repeat(512)],
  ]);
});

test('any file survives being written, cut up anyhow, and read', () => {
  const somePages = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 12 });
  const someCuts = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 8 });
  const someFile = fc.record({
    power: fc.integer({ min: 9, max: 16 }),
    numbers: somePages,
    whole: fc.boolean(),
    checksums: fc.boolean(),
    filler: fc.constantFrom('zeros', 'text', 'noise'),
  });
  fc.assert(
    fc.property(someFile, someCuts, ({ power, numbers, whole, checksums, filler }, cuts) => {
      const pageSize = 2 ** power;
      const sorted = whole ? numbers.map((_, i) => i + 1) : [...numbers].sort((a, b) => a - b);
      const pages = sorted.map((page): Page => [page, filledPage(filler, pageSize, page)]);
      const header: LtxHeader = {
        ...change,
        flags: checksums ? 0 : noChecksumFlag,
        pageSize,
        commit: whole ? pages.length : 400,
        minTxid: txid(whole ? 1 : 5),
        preApplyChecksum: checksum(whole || !checksums ? 0n : checksumFlag | 9n),
      };
      const file = encode(header, pages, checksums ? postApply : checksum(0n));
      const decoded = decode(file, cuts);
      assert.deepEqual(decoded.header, header);
      assert.equal(decoded.trailer.fileChecksum, file.readBigUInt64BE(file.length - 8));
      assert.ok(decoded.pages.every(([, data], i) => Buffer.compare(data, pages[i][1]) === 0));
      assert.deepEqual(
        decoded.pages.map(([page]) => page),
        sorted,
      );
    }),
  );
});

function filledPage(filler: string, pageSize: number, page: number): Uint8Array {
  if (filler === 'noise') return randomFillSync(new Uint8Array(pageSize));
  return Buffer.alloc(pageSize, filler === 'text' ? `page ${page} of the database, ` : 0);
}

test('a file larger than the buffers, and its index too, survives byte-sized and huge chunks', () => {
  const pages = Array.from({ length: 60_000 }, (_, i): Page => [i + 1, Buffer.alloc(512, i & 0xff)]);
  const header = { ...snapshot, commit: pages.length };
  const file = encode(header, pages);
  const index = Number(file.readBigUInt64BE(file.length - 24));
  assert.ok(index > 256 * 1024);
  for (const chunkBytes of [[file.length], [65536], [100, 1]]) {
    const decoded = decode(file, chunkBytes).pages;
    assert.equal(decoded.length, pages.length);
    assert.ok(decoded.every(([page, data], i) => page === i + 1 && data[0] === (i & 0xff)));
  }
});

test('every byte, changed to any other, is refused, or was another way to say the same page', () => {
  const pages: Page[] = [
    [1, Buffer.alloc(512, 'a page of text, ')],
    [2, Buffer.alloc(512)],
  ];
  for (const file of [encode(snapshot, pages), encode(change, pages)]) {
    const plain = plainPages(pages);
    const blocks = blockRanges(file, pages.length);
    for (let offset = 0; offset < file.length; offset++) {
      for (let change = 1; change < 256; change++) {
        const broken = Buffer.from(file);
        broken[offset] ^= change;
        const decoded = decodeOrRefuse(broken);
        if (decoded === undefined) continue;
        assert.ok(
          blocks.some(([start, end]) => offset >= start && offset < end),
          `byte ${offset}`,
        );
        assert.deepEqual(plainPages(decoded.pages), plain);
      }
    }
  }
});

/** Where the compressed pages lie: the one part that the file checksum covers only by what it means. */
function blockRanges(file: Buffer, pages: number): [start: number, end: number][] {
  const ranges: [number, number][] = [];
  for (let i = 0, start = 110; i < pages; i++) {
    const end = start + file.readUInt32BE(start - 4);
    ranges.push([start, end]);
    start = end + 10;
  }
  return ranges;
}

function decodeOrRefuse(file: Uint8Array): Decoded | undefined {
  try {
    return decode(file);
  } catch (error) {
    if (!invalid(error)) throw error;
    return undefined;
  }
}

test('a file cut anywhere, or with bytes after it, is refused', () => {
  const golden = goldenFile();
  for (let bytes = 0; bytes < golden.length; bytes++) {
    assert.throws(() => decode(golden.subarray(0, bytes)), invalid, `${bytes} bytes`);
  }
  assert.throws(() => decode(Buffer.concat([golden, Buffer.alloc(1)])), invalid);
  assert.throws(() => decode(Buffer.concat([golden, golden])), invalid);
});

test('rules on frames hold even before the file checksum is seen', () => {
  const refusedAt = (offset: number, hex: string, whole: boolean) => {
    const file = goldenFile();
    if (!whole) {
      file.writeUInt32BE(2, 19); // TXIDs from 2 to 3
      file.fill(0, 16, 23);
      file[23] = 2;
      file[40] = 0x80;
    }
    file.write(hex, offset, 'hex');
    const decoder = new LtxDecoder({ page: () => undefined });
    assert.throws(() => decoder.push(file.subarray(0, 700)), invalid, `${hex} at ${offset}`);
  };
  refusedAt(100, '00000003', false); // beyond the end
  refusedAt(100, '00000000', false); // page 0 with flags
  refusedAt(104, '0000', true); // no size field
  refusedAt(104, '0003', true); // unknown flag
  refusedAt(106, '00000000', true); // empty block
  refusedAt(106, '7fffffff', true); // a block larger than any
  refusedAt(625, '00000001', false); // page 1 twice
  refusedAt(100, '00000002', true); // a snapshot without page 1
  refusedAt(100, '000000000000', true); // a snapshot without any
  refusedAt(625, '000000000000', true); // a snapshot without page 2
});

test('the lock page is refused, and a snapshot does without it', () => {
  const lockPage = 16385;
  const header = { ...change, pageSize: 65536, commit: lockPage + 1 };
  const data = new Uint8Array(65536);
  const file = encode(header, [[lockPage + 1, data]]);
  file.writeUInt32BE(lockPage, 100);
  assert.throws(() => decode(file), invalid);
  const pages = Array.from({ length: lockPage - 1 }, (_, i): Page => [i + 1, data]);
  const whole = encode({ ...header, minTxid: txid(1), preApplyChecksum: checksum(0n) }, [
    ...pages,
    [lockPage + 1, data],
  ]);
  let count = 0;
  const decoder = new LtxDecoder({ page: () => count++ });
  decoder.push(whole);
  decoder.end();
  assert.equal(count, lockPage);
});

test('after an error of the file or of a handler, every further call throws the same', () => {
  const golden = goldenFile();
  const failure = new Error('no space');
  const decoder = new LtxDecoder({
    page: () => {
      throw failure;
    },
  });
  assert.throws(() => decoder.push(golden), failure);
  assert.throws(() => decoder.push(golden), failure);
  assert.throws(() => decoder.end(), failure);

  const early = new LtxDecoder({ page: () => undefined });
  early.push(golden.subarray(0, 200));
  assert.throws(() => early.end(), invalid);
  assert.throws(() => early.push(golden.subarray(200)), invalid);
});

test('chunks are left as they were', () => {
  const golden = goldenFile();
  decode(golden, [300]);
  assert.deepEqual(golden, goldenFile());
});
