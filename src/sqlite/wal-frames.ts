import { readSync } from 'node:fs';
import { SkeinError } from '../base/errors.ts';
import type { DatabaseFiles } from './database-files.ts';
import {
  addWalChecksum,
  decodeWalHeader,
  frameHeaderBytes,
  frameOffset,
  type WalChecksum,
  type WalHeader,
  walHeaderBytes,
} from './wal-format.ts';
import type { WalIndexHeader } from './wal-index.ts';

/** The checksum in the header before a frame, with which the frame's own begins. */
const seedBytes = 8;

/**
 * Reads committed frames of one WAL, each checked: page number, salts, and the checksum continued from the frame
 * before it, so that any one frame can be checked without reading the whole WAL.
 */
export class WalFrames {
  readonly #files: DatabaseFiles;
  readonly #frameBytes: number;
  /** Page data lies at a multiple of 8, as the checksum likes it. */
  readonly #buffer: Buffer;
  readonly #checksum: WalChecksum = { first: 0, second: 0 };

  constructor(files: DatabaseFiles) {
    this.#files = files;
    this.#frameBytes = frameHeaderBytes + files.pageSize;
    this.#buffer = Buffer.from(new ArrayBuffer(seedBytes + this.#frameBytes));
  }

  /** The WAL file's own header. Throws `WAL_CORRUPT`. */
  header(): WalHeader {
    const bytes = Buffer.alloc(walHeaderBytes);
    readSync(this.#files.wal, bytes, 0, bytes.length, 0);
    return decodeWalHeader(bytes);
  }

  /** The page in `frame`; valid until the next call. Throws `WAL_CORRUPT` when the frame is not what the index says. */
  page(frame: number, pageNumber: number, index: WalIndexHeader): Uint8Array {
    const bytes = this.#buffer;
    const { pageSize } = this.#files;
    // Both the WAL header and a frame's header end in a checksum; a frame's data follows its header.
    const seedAt =
      frame === 1 ? walHeaderBytes - seedBytes : frameOffset(frame, pageSize) - pageSize - seedBytes;
    const frameAt = frameOffset(frame, pageSize);
    if (frame === 1) {
      this.#read(bytes, 0, bytes.length, seedAt, frame);
    } else {
      this.#read(bytes, 0, seedBytes, seedAt, frame);
      this.#read(bytes, seedBytes, this.#frameBytes, frameAt, frame);
    }
    const header = seedBytes;
    const data = header + frameHeaderBytes;
    const checksum = this.#checksum;
    checksum.first = bytes.readUInt32BE(0);
    checksum.second = bytes.readUInt32BE(4);
    addWalChecksum(checksum, bytes, header, header + 8, index.bigEndian);
    addWalChecksum(checksum, bytes, data, data + pageSize, index.bigEndian);
    const holds =
      bytes.readUInt32BE(header) === pageNumber &&
      bytes.readUInt32BE(header + 8) === index.salt1 &&
      bytes.readUInt32BE(header + 12) === index.salt2 &&
      bytes.readUInt32BE(header + 16) === checksum.first &&
      bytes.readUInt32BE(header + 20) === checksum.second;
    if (!holds) {
      throw new SkeinError(
        'WAL_CORRUPT',
        `Frame ${frame} of ${this.#files.path}-wal does not hold page ${pageNumber} as the wal-index says. The disk or a program has changed the file.`,
      );
    }
    return bytes.subarray(data, data + pageSize);
  }

  /** How many of the frames `from` to `to` end a transaction. */
  countCommits(from: number, to: number): number {
    let commits = 0;
    for (let frame = from; frame <= to; frame += 1) if (this.commitSize(frame) !== 0) commits += 1;
    return commits;
  }

  /** The database's size in pages when the frame ends a transaction, else 0. */
  commitSize(frame: number): number {
    this.#read(this.#buffer, 0, frameHeaderBytes, frameOffset(frame, this.#files.pageSize), frame);
    return this.#buffer.readUInt32BE(4);
  }

  /** Whether the WAL's last committed frame ends in the checksum that the wal-index holds for it. */
  endsAs(index: WalIndexHeader): boolean {
    this.#read(
      this.#buffer,
      0,
      frameHeaderBytes,
      frameOffset(index.maxFrame, this.#files.pageSize),
      index.maxFrame,
    );
    return (
      this.#buffer.readUInt32BE(16) === index.frameChecksum.first &&
      this.#buffer.readUInt32BE(20) === index.frameChecksum.second
    );
  }

  #read(into: Buffer, offset: number, length: number, position: number, frame: number): void {
    const read = readSync(this.#files.wal, into, offset, length, position);
    if (read === length) return;
    throw new SkeinError(
      'WAL_CORRUPT',
      `${this.#files.path}-wal ends before frame ${frame}, which its index holds.`,
    );
  }
}
