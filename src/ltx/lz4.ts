import { compressSync, uncompressSync } from 'lz4-napi';
import { assert } from '../base/assert.ts';
import { ltxInvalid } from './ltx-invalid.ts';

/** `lz4-napi` puts the plain size before its block, as four bytes, little-endian. The format has no place for it. */
export const lz4PrefixBytes = 4;

const plainBytesMax = 65536;

/** Where the prefix is put back before a block. Synchronous code alone uses it, so one is enough. */
const scratch = Buffer.allocUnsafe(lz4PrefixBytes + lz4BlockBytesMax(plainBytesMax));

/** The size of the largest block, in bytes, that compressing `plainBytes` can give. */
export function lz4BlockBytesMax(plainBytes: number): number {
  return plainBytes + Math.floor(plainBytes / 255) + 16;
}

/**
 * Compresses `plain` to `target` at `start` and returns the size of the block in bytes. Also overwrites the
 * `lz4PrefixBytes` before `start`, which saves a copy: write what belongs there afterwards.
 */
export function lz4Compress(plain: Uint8Array, target: Uint8Array, start: number): number {
  assert(start >= lz4PrefixBytes, 'compressed data needs room for its prefix');
  // The binding takes any Uint8Array; only its declared type asks for a Buffer.
  const prefixed = compressSync(plain as Buffer);
  target.set(prefixed, start - lz4PrefixBytes);
  return prefixed.length - lz4PrefixBytes;
}

/**
 * Decompresses the block in `bytes` from `start` to before `end`, which must give exactly `plainBytes` bytes, else
 * throws `LTX_INVALID`. The result belongs to the caller.
 */
export function lz4Decompress(bytes: Uint8Array, start: number, end: number, plainBytes: number): Uint8Array {
  assert(plainBytes <= plainBytesMax, 'a block holds no more than one page');
  const blockBytes = end - start;
  if (blockBytes > lz4BlockBytesMax(plainBytes)) {
    throw ltxInvalid(`a compressed page of ${blockBytes} bytes is larger than any can be`);
  }
  scratch.writeUInt32LE(plainBytes, 0);
  scratch.set(bytes.subarray(start, end), lz4PrefixBytes);
  const plain = uncompress(scratch.subarray(0, lz4PrefixBytes + blockBytes));
  if (plain.length !== plainBytes) {
    throw ltxInvalid(`a compressed page gave ${plain.length} bytes instead of ${plainBytes}`);
  }
  return plain;
}

function uncompress(prefixed: Uint8Array): Uint8Array {
  try {
    return uncompressSync(prefixed);
  } catch (error) {
    throw ltxInvalid('a compressed page cannot be decompressed', error);
  }
}
