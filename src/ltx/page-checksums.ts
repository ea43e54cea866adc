import { assert } from '../base/assert.ts';
import { lockPageNumber, pageNumberMax } from '../sqlite/page-number.ts';
import { Crc64 } from './crc64.ts';
import { ltxInvalid } from './ltx-invalid.ts';
import { type Checksum, checksumOf } from './position.ts';

const checksumBytes = 8;
const pageFlag = 0x80000000;
const capacityMin = 64;

/** Synchronous code alone uses it, and resets it first. */
const pageCrc = new Crc64();

/** The checksum of one page as it counts in the checksum of its database. */
export function pageChecksum(page: number, data: Uint8Array): Checksum {
  pageCrc.reset();
  pageCrc.updateUint32(page).update(data);
  return checksumOf(pageCrc.high, pageCrc.low);
}

/**
 * The checksum of every page of one database, and of the database: their XOR. It takes 8 bytes a page, 16 while it
 * grows. A page that was never set, and the lock page, have the checksum (0, 0) and do not count.
 */
export class PageChecksums {
  readonly pageSize: number;
  readonly #lockPage: number;
  /** The halves of page n lie at n - 1. Beyond `#commit` both arrays hold zeros. */
  #highs = new Uint32Array(0);
  #lows = new Uint32Array(0);
  #commit = 0;
  #high = 0;
  #low = 0;
  #undo: UndoLog | undefined;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.#lockPage = lockPageNumber(pageSize);
  }

  /** Size of the database, in pages. */
  get commit(): number {
    return this.#commit;
  }

  /** The checksum of the database as it goes into a position: bit 63 is set even when it has no pages. */
  get checksum(): Checksum {
    return checksumOf(this.#high, this.#low);
  }

  /** Puts the page's checksum in place of its old one. A page beyond the end moves the end. */
  setPage(page: number, data: Uint8Array): void {
    assert(data.length === this.pageSize, 'a page of the wrong size for its database');
    assert(page >= 1 && page <= pageNumberMax, 'a page number is from 1 to 2^32 - 2');
    if (page === this.#lockPage) return;
    pageCrc.reset();
    pageCrc.updateUint32(page).update(data);
    this.#set(page, pageCrc.high | pageFlag, pageCrc.low);
  }

  /** Sets the size of the database in pages, and drops the pages beyond. Pages gained count as never set. */
  truncate(commit: number): void {
    assert(Number.isInteger(commit) && commit >= 0 && commit <= pageNumberMax, 'a size out of range');
    const end = Math.min(this.#commit, this.#highs.length);
    for (let i = commit; i < end; i++) {
      this.#undo?.add(i + 1, this.#highs[i], this.#lows[i]);
      this.#high ^= this.#highs[i];
      this.#low ^= this.#lows[i];
    }
    if (commit < end) {
      this.#highs.fill(0, commit, end);
      this.#lows.fill(0, commit, end);
    }
    this.#commit = commit;
  }

  /** Whether a change is under way that `undo` may take back. */
  get isNoting(): boolean {
    return this.#undo !== undefined;
  }

  /** From here on, changes are noted, until `keep` or `undo`. */
  beginUndo(): void {
    assert(this.#undo === undefined, 'changes are noted already');
    this.#undo = new UndoLog(this.#commit);
  }

  /** Lets the changes since `beginUndo` stand. */
  keep(): void {
    this.#undo = undefined;
  }

  /** Takes back the changes since `beginUndo`, in reverse order. */
  undo(): void {
    const undo = this.#undo;
    assert(undo, 'no changes were noted');
    this.#undo = undefined;
    undo.forEachBackwards((page, high, low) => this.#set(page, high, low));
    this.truncate(undo.commit);
  }

  /** Whether the page has the checksum with these halves, each an unsigned integer of 32 bits. */
  equalsAt(page: number, high: number, low: number): boolean {
    return this.highAt(page) === high && this.lowAt(page) === low;
  }

  /** Whether the page, the lock page apart, has the checksum of these bytes. */
  matches(page: number, data: Uint8Array): boolean {
    pageCrc.reset();
    pageCrc.updateUint32(page).update(data);
    return this.equalsAt(page, (pageCrc.high | pageFlag) >>> 0, pageCrc.low >>> 0);
  }

  /** The upper half of a page's checksum, unsigned; 0 for a page that was never set. */
  highAt(page: number): number {
    return page <= this.#highs.length ? this.#highs[page - 1] : 0;
  }

  /** The lower half of a page's checksum, unsigned; 0 for a page that was never set. */
  lowAt(page: number): number {
    return page <= this.#lows.length ? this.#lows[page - 1] : 0;
  }

  clone(): PageChecksums {
    const copy = new PageChecksums(this.pageSize);
    copy.#highs = this.#highs.slice(0, this.#commit);
    copy.#lows = this.#lows.slice(0, this.#commit);
    copy.#commit = this.#commit;
    copy.#high = this.#high;
    copy.#low = this.#low;
    return copy;
  }

  /** 8 bytes a page, big-endian, from page 1 to the last; zeros for the lock page. */
  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#commit * checksumBytes);
    const view = new DataView(bytes.buffer);
    const end = Math.min(this.#commit, this.#highs.length);
    for (let i = 0; i < end; i++) {
      view.setUint32(i * checksumBytes, this.#highs[i]);
      view.setUint32(i * checksumBytes + 4, this.#lows[i]);
    }
    return bytes;
  }

  /** The reverse of `encode`. Throws `LTX_INVALID` on bytes that it cannot have made. */
  static decode(pageSize: number, bytes: Uint8Array): PageChecksums {
    const commit = bytes.length / checksumBytes;
    if (!Number.isInteger(commit) || commit > pageNumberMax) {
      throw ltxInvalid(`${bytes.length} bytes are no list of page checksums`);
    }
    const checksums = new PageChecksums(pageSize);
    checksums.#grow(commit);
    checksums.#commit = commit;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < commit; i++) {
      const high = view.getUint32(i * checksumBytes);
      const low = view.getUint32(i * checksumBytes + 4);
      if (high === 0 && low === 0) continue;
      if (high < pageFlag || i + 1 === checksums.#lockPage) {
        throw ltxInvalid(`page ${i + 1} cannot have the checksum that is given`);
      }
      checksums.#set(i + 1, high, low);
    }
    return checksums;
  }

  #set(page: number, high: number, low: number): void {
    if (page > this.#highs.length) this.#grow(Math.max(page, this.#highs.length * 2, capacityMin));
    if (page > this.#commit) this.#commit = page;
    const i = page - 1;
    this.#undo?.add(page, this.#highs[i], this.#lows[i]);
    this.#high ^= this.#highs[i] ^ high;
    this.#low ^= this.#lows[i] ^ low;
    this.#highs[i] = high;
    this.#lows[i] = low;
  }

  #grow(capacity: number): void {
    const highs = new Uint32Array(capacity);
    const lows = new Uint32Array(capacity);
    highs.set(this.#highs);
    lows.set(this.#lows);
    this.#highs = highs;
    this.#lows = lows;
  }
}

/** What pages had before a change, three words each. */
class UndoLog {
  readonly commit: number;
  #words = new Uint32Array(64 * 3);
  #length = 0;

  constructor(commit: number) {
    this.commit = commit;
  }

  add(page: number, high: number, low: number): void {
    if (this.#length === this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[this.#length] = page;
    this.#words[this.#length + 1] = high;
    this.#words[this.#length + 2] = low;
    this.#length += 3;
  }

  forEachBackwards(visit: (page: number, high: number, low: number) => void): void {
    for (let at = this.#length - 3; at >= 0; at -= 3) {
      visit(this.#words[at], this.#words[at + 1], this.#words[at + 2]);
    }
  }
}
