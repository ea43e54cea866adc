import { readSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import type { DatabaseFiles } from './database-files.ts';
import { lockPageNumber } from './page-number.ts';
import { WalFrames } from './wal-frames.ts';
import type { WalIndexHeader } from './wal-index.ts';

const readAheadBytes = 1 << 20;

/**
 * All pages of a database as they are at one committed frame: those in the WAL up to it, else those in the database
 * file. True for as long as no checkpoint moves later frames into the file, so the caller holds CKPT, or WRITE and
 * has none later.
 */
export class PageSource {
  readonly #files: DatabaseFiles;
  readonly #index: WalIndexHeader;
  readonly #frames: WalFrames;
  /** By page number: the last frame that holds it, 0 for none. */
  readonly #frameOfPage: Uint32Array;
  readonly #ahead: Buffer;
  #aheadFrom = 0;
  #aheadTo = 0;
  #lastPage = 0;
  readonly pageSize: number;
  /** Database size in pages. */
  readonly commit: number;
  readonly lockPage: number;

  constructor(files: DatabaseFiles, index: WalIndexHeader) {
    this.#files = files;
    this.#index = index;
    this.#frames = new WalFrames(files);
    this.pageSize = files.pageSize;
    this.lockPage = lockPageNumber(files.pageSize);
    this.commit = index.pageCount > 0 ? index.pageCount : Math.floor(files.databaseBytes() / files.pageSize);
    this.#frameOfPage = new Uint32Array(this.commit + 1);
    this.#ahead = Buffer.from(new ArrayBuffer(Math.max(readAheadBytes, files.pageSize)));
    const step = 65_536;
    for (let from = 1; from <= index.maxFrame; from += step) {
      const pageNumbers = files.walIndex.pageNumbers(from, Math.min(index.maxFrame, from + step - 1));
      for (let entry = 0; entry < pageNumbers.length; entry += 1) {
        const pageNumber = pageNumbers[entry];
        if (pageNumber <= this.commit) this.#frameOfPage[pageNumber] = from + entry;
      }
    }
  }

  /** The page's bytes, valid until the next call. A page that was never written reads as zeros, as in SQLite. */
  page(pageNumber: number): Uint8Array {
    assert(pageNumber >= 1 && pageNumber <= this.commit, `page ${pageNumber} of ${this.commit}`);
    const frame = this.#frameOfPage[pageNumber];
    if (frame > 0) return this.#frames.page(frame, pageNumber, this.#index);
    const offset = (pageNumber - 1) * this.pageSize;
    if (offset < this.#aheadFrom || offset + this.pageSize > this.#aheadTo) {
      // Reading ahead pays only for a scan.
      const wanted = pageNumber === this.#lastPage + 1 ? this.#ahead.length : this.pageSize;
      const read = readSync(this.#files.database, this.#ahead, 0, wanted, offset);
      this.#aheadFrom = offset;
      // Short at the end of the file, and zeros beyond it.
      if (read < this.pageSize) this.#ahead.fill(0, read, this.pageSize);
      this.#aheadTo = offset + Math.max(this.pageSize, read - (read % this.pageSize));
    }
    this.#lastPage = pageNumber;
    const start = offset - this.#aheadFrom;
    return this.#ahead.subarray(start, start + this.pageSize);
  }
}
