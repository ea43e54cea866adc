import { readSync } from 'node:fs';
import { endianness } from 'node:os';
import { assert } from '../base/assert.ts';
import { addWalChecksum, type WalChecksum, walVersion } from './wal-format.ts';

/**
 * The wal-index, the `-shm` file: https://sqlite.org/walformat.html. Read and written here by `pread` and
 * `pwrite`, which on Linux see and change the same page cache that SQLite has mapped.
 */
export const walIndexHeaderBytes = 48;
export const checkpointInfoOffset = 96;
const firstPageNumberOffset = 136;
export const blockBytes = 32768;
export const hashSlotCount = 8192;
const hashOffset = 16384;
/** Frames in the first block, whose head is taken by the headers, and in each later one. */
const firstBlockFrames = 4062;
const laterBlockFrames = 4096;

const littleEndian = endianness() === 'LE';
assert(littleEndian, 'the wal-index is read and written as little-endian; this machine is big-endian');

export type WalIndexHeader = {
  /** SQLite's `iChange`: one more at every commit, modulo 2^32. */
  readonly change: number;
  readonly bigEndian: boolean;
  /** 0 before the first frame was ever written. */
  readonly pageSize: number;
  /** The last committed frame; 0 for an empty WAL. */
  readonly maxFrame: number;
  /** Database size in pages after the last commit; 0 before the first. */
  readonly pageCount: number;
  readonly frameChecksum: Readonly<WalChecksum>;
  readonly salt1: number;
  readonly salt2: number;
};

/** Where the frame's page number and hash entries lie: block, and 1-based index in it. */
export function blockOfFrame(frame: number): { block: number; index: number } {
  if (frame <= firstBlockFrames) return { block: 0, index: frame };
  const rest = frame - firstBlockFrames - 1;
  return { block: 1 + Math.floor(rest / laterBlockFrames), index: 1 + (rest % laterBlockFrames) };
}

export function framesInBlock(block: number): number {
  return block === 0 ? firstBlockFrames : laterBlockFrames;
}

/** The last frame before the block's first one. */
export function frameBeforeBlock(block: number): number {
  return block === 0 ? 0 : firstBlockFrames + (block - 1) * laterBlockFrames;
}

/** Byte offset in the `-shm` of the page number of the block's `index`-th frame. */
export function pageNumberOffset(block: number, index: number): number {
  return block * blockBytes + (block === 0 ? firstPageNumberOffset : 0) + (index - 1) * 4;
}

export function hashTableOffset(block: number): number {
  return block * blockBytes + hashOffset;
}

/** The hash slot where the search for a page begins (wal.c: walHash). */
export function hashSlot(pageNumber: number): number {
  return Math.imul(pageNumber, 383) & (hashSlotCount - 1);
}

/** Decodes one of the two copies at `offset`; undefined when its own checksum does not hold (being written). */
export function decodeWalIndexHeader(bytes: Buffer, offset: number): WalIndexHeader | undefined {
  const checksum: WalChecksum = { first: 0, second: 0 };
  addWalChecksum(checksum, bytes, offset, offset + 40, false);
  if (checksum.first !== bytes.readUInt32LE(offset + 40)) return undefined;
  if (checksum.second !== bytes.readUInt32LE(offset + 44)) return undefined;
  if (bytes[offset + 12] !== 1 || bytes.readUInt32LE(offset) !== walVersion) return undefined;
  const pageSize = bytes.readUInt16LE(offset + 14);
  return {
    change: bytes.readUInt32LE(offset + 8),
    bigEndian: bytes[offset + 13] === 1,
    pageSize: pageSize === 1 ? 65536 : pageSize,
    maxFrame: bytes.readUInt32LE(offset + 16),
    pageCount: bytes.readUInt32LE(offset + 20),
    frameChecksum: { first: bytes.readUInt32LE(offset + 24), second: bytes.readUInt32LE(offset + 28) },
    salt1: bytes.readUInt32BE(offset + 32),
    salt2: bytes.readUInt32BE(offset + 36),
  };
}

/** Encodes one copy into `bytes` at `offset`, with its checksum. */
export function encodeWalIndexHeader(header: WalIndexHeader, bytes: Buffer, offset: number): void {
  bytes.writeUInt32LE(walVersion, offset);
  bytes.writeUInt32LE(0, offset + 4);
  bytes.writeUInt32LE(header.change >>> 0, offset + 8);
  bytes[offset + 12] = 1;
  bytes[offset + 13] = header.bigEndian ? 1 : 0;
  bytes.writeUInt16LE(header.pageSize === 65536 ? 1 : header.pageSize, offset + 14);
  bytes.writeUInt32LE(header.maxFrame, offset + 16);
  bytes.writeUInt32LE(header.pageCount, offset + 20);
  bytes.writeUInt32LE(header.frameChecksum.first, offset + 24);
  bytes.writeUInt32LE(header.frameChecksum.second, offset + 28);
  bytes.writeUInt32BE(header.salt1, offset + 32);
  bytes.writeUInt32BE(header.salt2, offset + 36);
  const checksum: WalChecksum = { first: 0, second: 0 };
  addWalChecksum(checksum, bytes, offset, offset + 40, false);
  bytes.writeUInt32LE(checksum.first, offset + 40);
  bytes.writeUInt32LE(checksum.second, offset + 44);
}

/** Reads the wal-index of one database through a descriptor that somebody else owns. */
export class WalIndexReader {
  readonly #shm: number;
  readonly #head = Buffer.from(new ArrayBuffer(firstPageNumberOffset));

  constructor(shm: number) {
    this.#shm = shm;
  }

  /**
   * The header that SQLite's readers would use now; undefined while the two copies differ, which is a commit in
   * progress (try again at once) or a writer that died between them (see `repairWalIndexHeader`).
   */
  header(): WalIndexHeader | undefined {
    const head = this.#head;
    if (readSync(this.#shm, head, 0, head.length, 0) < head.length) return undefined;
    if (head.compare(head, walIndexHeaderBytes, 2 * walIndexHeaderBytes, 0, walIndexHeaderBytes) !== 0)
      return undefined;
    return decodeWalIndexHeader(head, 0);
  }

  /** The two copies as they are, for repair. */
  copies(): { first: WalIndexHeader | undefined; second: WalIndexHeader | undefined } {
    readSync(this.#shm, this.#head, 0, this.#head.length, 0);
    return {
      first: decodeWalIndexHeader(this.#head, 0),
      second: decodeWalIndexHeader(this.#head, walIndexHeaderBytes),
    };
  }

  /** How many frames a checkpoint has moved into the database file. */
  backfilled(): number {
    readSync(this.#shm, this.#head, checkpointInfoOffset, 4, checkpointInfoOffset);
    return this.#head.readUInt32LE(checkpointInfoOffset);
  }

  /** The page numbers of frames `from` to `to`, both included, in order. */
  pageNumbers(from: number, to: number): Uint32Array {
    assert(from >= 1 && to >= from, `page numbers of frames ${from} to ${to}`);
    const numbers = new Uint32Array(to - from + 1);
    const bytes = new Uint8Array(numbers.buffer);
    for (let frame = from; frame <= to; ) {
      const { block, index } = blockOfFrame(frame);
      const count = Math.min(framesInBlock(block) - index + 1, to - frame + 1);
      const read = readSync(this.#shm, bytes, (frame - from) * 4, count * 4, pageNumberOffset(block, index));
      assert(read === count * 4, `the wal-index ends before frame ${to}`);
      frame += count;
    }
    return numbers;
  }
}
