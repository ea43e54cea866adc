import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressSync } from 'lz4-napi';
import { AssertionFailure } from '../base/assert.ts';
import { pageNumber } from '../sqlite/page-number.ts';
import { LtxEncoder } from './encoder.ts';
import { type LtxHeader, noChecksumFlag } from './header.ts';
import { checksum, checksumFlag, txid } from './position.ts';

const change: LtxHeader = {
  flags: 0,
  pageSize: 512,
  commit: 300,
  minTxid: txid(5),
  maxTxid: txid(6),
  timestampMs: 0x0102030405,
  preApplyChecksum: checksum(checksumFlag | 1n),
  walOffset: 32,
  walSize: 1072,
  walSalt1: 0xa1a2a3a4,
  walSalt2: 0xb1b2b3b4,
  nodeId: 0xc1n,
};
const snapshot: LtxHeader = { ...change, commit: 3, minTxid: txid(1), preApplyChecksum: checksum(0n) };
const postApply = checksum(checksumFlag | 2n);

function pageOf(byte: number, pageSize = 512): Uint8Array {
  return new Uint8Array(pageSize).fill(byte);
}

function startEncoder(header: LtxHeader): { encoder: LtxEncoder; file(): Buffer } {
  const chunks: Uint8Array[] = [];
  const encoder = new LtxEncoder(header, (bytes) => chunks.push(bytes.slice()));
  return { encoder, file: () => Buffer.concat(chunks) };
}

function u32(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

test('a file is, byte for byte, what the format says', () => {
  const { encoder, file } = startEncoder(change);
  encoder.writePage(pageNumber(2), pageOf(7));
  encoder.writePage(pageNumber(300), pageOf(8));
  const trailer = encoder.finish(postApply);

  const blocks = [pageOf(7), pageOf(8)].map((page) => compressSync(Buffer.from(page)).subarray(4));
  const frameBytes = blocks.map((block) => 10 + block.length);
  assert.ok(frameBytes[0] < 28 && frameBytes[1] < 128, 'one byte holds each size and the first two offsets');
  const second = 100 + frameBytes[0];
  const before = Buffer.concat([
    Buffer.from('LTX1'),
    Buffer.from('00000000' + '00000200' + '0000012c', 'hex'),
    Buffer.from('0000000000000005' + '0000000000000006' + '0000000102030405', 'hex'),
    Buffer.from('8000000000000001' + '0000000000000020' + '0000000000000430', 'hex'),
    Buffer.from('a1a2a3a4' + 'b1b2b3b4' + '00000000000000c1', 'hex'),
    Buffer.alloc(20),
    Buffer.from('00000002' + '0001', 'hex'),
    u32(blocks[0].length),
    blocks[0],
    Buffer.from('0000012c' + '0001', 'hex'),
    u32(blocks[1].length),
    blocks[1],
    Buffer.alloc(6),
    Buffer.of(2, 100, frameBytes[0]),
    Buffer.of(0xac, 2, second, frameBytes[1]),
    Buffer.of(0),
    Buffer.from('0000000000000008' + '8000000000000002', 'hex'),
  ]);
  assert.equal(file().subarray(0, -8).toString('hex'), before.toString('hex'));
  assert.equal(file().readBigUInt64BE(before.length), trailer.fileChecksum);
  assert.equal(encoder.bytesWritten, before.length + 8);
});

test('pages out of order, beyond the end, of the wrong size, or the lock page, are broken invariants', () => {
  const at = (page: number, data = pageOf(1)) => {
    const { encoder } = startEncoder(change);
    encoder.writePage(pageNumber(5), pageOf(1));
    encoder.writePage(pageNumber(page), data);
  };
  at(6);
  assert.throws(() => at(5), AssertionFailure);
  assert.throws(() => at(4), AssertionFailure);
  assert.throws(() => at(301), AssertionFailure);
  assert.throws(() => at(6, pageOf(1, 1024)), AssertionFailure);
  const large = startEncoder({ ...change, pageSize: 65536, commit: 20000 }).encoder;
  assert.throws(() => large.writePage(pageNumber(16385), pageOf(1, 65536)), AssertionFailure);
});

test('a snapshot that lacks a page is a broken invariant', () => {
  const gap = startEncoder(snapshot).encoder;
  gap.writePage(pageNumber(1), pageOf(1));
  assert.throws(() => gap.writePage(pageNumber(3), pageOf(3)), AssertionFailure);
  const short = startEncoder(snapshot).encoder;
  short.writePage(pageNumber(1), pageOf(1));
  assert.throws(() => short.finish(postApply), AssertionFailure);
});

test('nothing can be added to a file that is finished', () => {
  const { encoder } = startEncoder(change);
  encoder.finish(postApply);
  assert.throws(() => encoder.writePage(pageNumber(1), pageOf(1)), AssertionFailure);
  assert.throws(() => encoder.finish(postApply), AssertionFailure);
});

test('the post-apply checksum is there exactly when the file has checksums', () => {
  assert.throws(() => startEncoder(change).encoder.finish(checksum(0n)), { code: 'LTX_INVALID' });
  const without = { ...change, flags: noChecksumFlag, preApplyChecksum: checksum(0n) };
  assert.throws(() => startEncoder(without).encoder.finish(postApply), { code: 'LTX_INVALID' });
  startEncoder(without).encoder.finish(checksum(0n));
});

test('files written in turns do not share their buffers', () => {
  const alone = startEncoder(change);
  alone.encoder.writePage(pageNumber(1), pageOf(1));
  alone.encoder.finish(postApply);
  const first = startEncoder(change);
  const second = startEncoder({ ...change, maxTxid: txid(9) });
  first.encoder.writePage(pageNumber(1), pageOf(1));
  second.encoder.writePage(pageNumber(2), pageOf(2));
  second.encoder.finish(postApply);
  const third = startEncoder(change);
  third.encoder.writePage(pageNumber(3), pageOf(3));
  first.encoder.finish(postApply);
  assert.deepEqual(first.file(), alone.file());
});
