import { randomInt } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import { SkeinError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { readerLockCount } from './byte-locks.ts';
import type { DatabaseFiles } from './database-files.ts';
import {
  addWalChecksum,
  decodeWalHeader,
  encodeWalHeader,
  frameHeaderBytes,
  frameOffset,
  type WalChecksum,
  walHeaderBytes,
} from './wal-format.ts';
import {
  checkpointInfoOffset,
  encodeWalIndexHeader,
  type WalIndexHeader,
  walIndexHeaderBytes,
} from './wal-index.ts';
import { WalIndexBlock } from './wal-index-block.ts';

const writeBufferBytes = 1 << 20;

/**
 * Writes transactions of another node into a live WAL, as SQLite's own writer would: frames, then the wal-index
 * entries, then the second and the first copy of its header (wal.c: walFrames, walIndexWriteHdr). The caller holds
 * WRITE for as long as an injector exists; `DESIGN.md` says why readers never see less than a whole transaction.
 *
 * A crash before the header's first copy leaves the transaction unseen: its frames lie beyond `maxFrame`.
 */
export class WalInjector {
  readonly #files: DatabaseFiles;
  readonly #frameBytes: number;
  readonly #block: WalIndexBlock;
  #header: WalIndexHeader;
  #checkpointCount: number;
  /** Frames of the transaction in progress, not yet in the WAL file. Allocated at the first one. */
  #buffer: Buffer | undefined;
  #bufferedFrames = 0;
  #nextFrame: number;
  #checksum: WalChecksum;

  constructor(files: DatabaseFiles) {
    const header = files.walIndex.header();
    if (!header) throw new SkeinError('WAL_CORRUPT', `The wal-index of ${files.path} has no valid header.`);
    this.#files = files;
    this.#frameBytes = frameHeaderBytes + files.pageSize;
    this.#header = header;
    this.#nextFrame = header.maxFrame + 1;
    this.#checksum = { ...header.frameChecksum };
    this.#checkpointCount = 0;
    if (header.maxFrame > 0) this.#checkpointCount = this.#readWalHeader().checkpointCount;
    this.#block = new WalIndexBlock(files.shm, header.maxFrame);
  }

  /** The last committed frame. */
  get maxFrame(): number {
    return this.#header.maxFrame;
  }

  /** Adds a page to the transaction. `commit` is the database's size in pages on the last one, 0 on all others. */
  addPage(pageNumber: number, data: Uint8Array, commit: number): void {
    const { pageSize } = this.#files;
    assert(data.length === pageSize, `a page of ${data.length} bytes in a database of ${pageSize}`);
    if (this.#nextFrame === 1) this.#beginWal();
    this.#buffer ??= Buffer.from(new ArrayBuffer(Math.max(this.#frameBytes, writeBufferBytes)));
    if ((this.#bufferedFrames + 1) * this.#frameBytes > this.#buffer.length) this.#flush();
    const start = this.#bufferedFrames * this.#frameBytes;
    const frame = this.#buffer;
    frame.writeUInt32BE(pageNumber, start);
    frame.writeUInt32BE(commit, start + 4);
    frame.writeUInt32BE(this.#header.salt1, start + 8);
    frame.writeUInt32BE(this.#header.salt2, start + 12);
    frame.set(data, start + frameHeaderBytes);
    addWalChecksum(this.#checksum, frame, start, start + 8, this.#header.bigEndian);
    addWalChecksum(
      this.#checksum,
      frame,
      start + frameHeaderBytes,
      start + this.#frameBytes,
      this.#header.bigEndian,
    );
    frame.writeUInt32BE(this.#checksum.first, start + 16);
    frame.writeUInt32BE(this.#checksum.second, start + 20);
    this.#bufferedFrames += 1;
    this.#block.add(this.#nextFrame, pageNumber);
    this.#nextFrame += 1;
  }

  /** Makes the transaction visible to readers. At least one page was added, the last with `commit`. */
  commit(commit: number): void {
    assert(this.#nextFrame > this.#header.maxFrame + 1, 'a transaction without a page');
    this.#flush();
    failpoint('apply:frames-written');
    this.#block.flush();
    failpoint('apply:index-written');
    this.#writeHeader({
      ...this.#header,
      change: (this.#header.change + 1) >>> 0,
      pageSize: this.#files.pageSize,
      maxFrame: this.#nextFrame - 1,
      pageCount: commit,
      frameChecksum: { ...this.#checksum },
    });
  }

  /** Forgets the transaction in progress. */
  rollback(): void {
    this.#bufferedFrames = 0;
    this.#nextFrame = this.#header.maxFrame + 1;
    this.#checksum = { ...this.#header.frameChecksum };
    this.#block.load(this.#header.maxFrame);
  }

  /**
   * Starts the WAL over when a checkpoint has moved all of it and no reader uses it (wal.c: walRestartHdr); false
   * when that is not so yet.
   */
  tryRestart(): boolean {
    assert(this.#nextFrame === this.#header.maxFrame + 1, 'a restart inside a transaction');
    if (this.#header.maxFrame === 0) return false;
    // CKPT too: a program's checkpoint that has read the old header must not move pages by it afterwards.
    if (!this.#files.tryLock('checkpoint')) return false;
    try {
      return this.#files.walIndex.backfilled() === this.#header.maxFrame && this.#tryRestartLocked();
    } finally {
      this.#files.unlock('checkpoint');
    }
  }

  #tryRestartLocked(): boolean {
    if (!this.#files.tryLock('read1', readerLockCount)) return false;
    try {
      // The marks before the header: dying in between then leaves a WAL that only seems not yet moved.
      this.#resetCheckpointInfo();
      failpoint('restart:marks-written');
      this.#checkpointCount = (this.#checkpointCount + 1) >>> 0;
      this.#writeHeader({
        ...this.#header,
        maxFrame: 0,
        salt1: (this.#header.salt1 + 1) >>> 0,
        salt2: randomInt(0x1_0000_0000),
      });
    } finally {
      this.#files.unlock('read1', readerLockCount);
    }
    this.#nextFrame = 1;
    this.#block.load(0);
    return true;
  }

  /** Nothing moved, no mark in use but the first (wal.c: WalCkptInfo). */
  #resetCheckpointInfo(): void {
    const marks = Buffer.alloc(24, 0xff);
    marks.writeUInt32LE(0, 0);
    marks.writeUInt32LE(0, 4);
    marks.writeUInt32LE(0, 8);
    writeSync(this.#files.shm, marks, 0, marks.length, checkpointInfoOffset);
    writeSync(this.#files.shm, Buffer.alloc(4), 0, 4, checkpointInfoOffset + 32);
  }

  #beginWal(): void {
    const header = this.#header;
    const fresh = header.salt1 === 0 && header.salt2 === 0;
    const next = {
      bigEndian: false,
      pageSize: this.#files.pageSize,
      checkpointCount: this.#checkpointCount,
      salt1: fresh ? randomInt(0x1_0000_0000) : header.salt1,
      salt2: fresh ? randomInt(0x1_0000_0000) : header.salt2,
    };
    const bytes = encodeWalHeader(next, this.#checksum);
    writeSync(this.#files.wal, bytes, 0, bytes.length, 0);
    this.#header = {
      ...header,
      bigEndian: false,
      salt1: next.salt1,
      salt2: next.salt2,
      frameChecksum: { ...this.#checksum },
    };
  }

  #readWalHeader(): ReturnType<typeof decodeWalHeader> {
    const bytes = Buffer.alloc(walHeaderBytes);
    readSync(this.#files.wal, bytes, 0, bytes.length, 0);
    return decodeWalHeader(bytes);
  }

  #flush(): void {
    if (this.#bufferedFrames === 0 || !this.#buffer) return;
    const length = this.#bufferedFrames * this.#frameBytes;
    const firstFrame = this.#nextFrame - this.#bufferedFrames;
    const offset = frameOffset(firstFrame, this.#files.pageSize);
    let written = 0;
    while (written < length)
      written += writeSync(this.#files.wal, this.#buffer, written, length - written, offset + written);
    this.#bufferedFrames = 0;
  }

  #writeHeader(header: WalIndexHeader): void {
    const copy = Buffer.from(new ArrayBuffer(walIndexHeaderBytes));
    encodeWalIndexHeader(header, copy, 0);
    writeSync(this.#files.shm, copy, 0, copy.length, walIndexHeaderBytes);
    failpoint('apply:second-copy-written');
    writeSync(this.#files.shm, copy, 0, copy.length, 0);
    this.#header = header;
  }
}
