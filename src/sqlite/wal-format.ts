import { endianness } from 'node:os';
import { SkeinError } from '../base/errors.ts';

/** Sizes and fields of a WAL file: https://sqlite.org/fileformat2.html#the_write_ahead_log */
export const walHeaderBytes = 32;
export const frameHeaderBytes = 24;
const walMagic = 0x377f0682;
export const walVersion = 3007000;

/** Both halves of SQLite's running WAL checksum, unsigned. */
export type WalChecksum = { first: number; second: number };

export type WalHeader = {
  /** Whether checksums read the content as big-endian words (the magic's lowest bit). */
  readonly bigEndian: boolean;
  readonly pageSize: number;
  readonly checkpointCount: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum: WalChecksum;
};

const nativeBigEndian = endianness() === 'BE';

/**
 * SQLite's walChecksumBytes over `bytes[start, end)`, continued from `checksum`, which is changed in place. The
 * range is a multiple of 8 bytes; it is fast where it is aligned to 4 bytes in its buffer.
 */
export function addWalChecksum(
  checksum: WalChecksum,
  bytes: Buffer,
  start: number,
  end: number,
  bigEndian: boolean,
): void {
  let first = checksum.first | 0;
  let second = checksum.second | 0;
  if (bigEndian === nativeBigEndian && (bytes.byteOffset + start) % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, (end - start) >>> 2);
    for (let index = 0; index < words.length; index += 2) {
      first = (first + words[index] + second) | 0;
      second = (second + words[index + 1] + first) | 0;
    }
  } else {
    for (let offset = start; offset < end; offset += 8) {
      const even = bigEndian ? bytes.readUInt32BE(offset) : bytes.readUInt32LE(offset);
      const odd = bigEndian ? bytes.readUInt32BE(offset + 4) : bytes.readUInt32LE(offset + 4);
      first = (first + even + second) | 0;
      second = (second + odd + first) | 0;
    }
  }
  checksum.first = first >>> 0;
  checksum.second = second >>> 0;
}

/** Byte offset in the WAL of a frame's header. Frames count from 1. */
export function frameOffset(frame: number, pageSize: number): number {
  return walHeaderBytes + (frame - 1) * (frameHeaderBytes + pageSize);
}

/** Decodes and checks a WAL header. Throws `WAL_CORRUPT`. */
export function decodeWalHeader(bytes: Buffer): WalHeader {
  const magic = bytes.readUInt32BE(0);
  const bigEndian = (magic & 1) === 1;
  const checksum: WalChecksum = { first: 0, second: 0 };
  addWalChecksum(checksum, bytes, 0, 24, bigEndian);
  if (
    (magic & ~1) >>> 0 !== walMagic ||
    bytes.readUInt32BE(4) !== walVersion ||
    checksum.first !== bytes.readUInt32BE(24) ||
    checksum.second !== bytes.readUInt32BE(28)
  ) {
    throw new SkeinError('WAL_CORRUPT', 'The header of the write-ahead log is not valid.');
  }
  return {
    bigEndian,
    pageSize: bytes.readUInt32BE(8),
    checkpointCount: bytes.readUInt32BE(12),
    salt1: bytes.readUInt32BE(16),
    salt2: bytes.readUInt32BE(20),
    checksum,
  };
}

/** Encodes a WAL header and sets `checksum`, from which the first frame's continues. */
export function encodeWalHeader(header: Omit<WalHeader, 'checksum'>, checksum: WalChecksum): Buffer {
  const bytes = Buffer.alloc(walHeaderBytes);
  bytes.writeUInt32BE(header.bigEndian ? walMagic + 1 : walMagic, 0);
  bytes.writeUInt32BE(walVersion, 4);
  bytes.writeUInt32BE(header.pageSize, 8);
  bytes.writeUInt32BE(header.checkpointCount, 12);
  bytes.writeUInt32BE(header.salt1, 16);
  bytes.writeUInt32BE(header.salt2, 20);
  checksum.first = 0;
  checksum.second = 0;
  addWalChecksum(checksum, bytes, 0, 24, header.bigEndian);
  bytes.writeUInt32BE(checksum.first, 24);
  bytes.writeUInt32BE(checksum.second, 28);
  return bytes;
}
