import { fstatSync, readSync, writeSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import {
  blockBytes,
  blockOfFrame,
  frameBeforeBlock,
  framesInBlock,
  hashSlot,
  hashSlotCount,
  hashTableOffset,
  pageNumberOffset,
} from './wal-index.ts';

/** Below this many new entries the slots are written one by one, else the table whole (16 KiB). */
const slotsWrittenSingly = 6;

/**
 * The wal-index block that new frames go into: their page numbers, and the hash table by which readers find them
 * (wal.c: walIndexAppend). Kept here and written out, so that entries a dead writer left beyond the last commit
 * are gone.
 */
export class WalIndexBlock {
  readonly #shm: number;
  readonly #slots = new Uint16Array(hashSlotCount);
  readonly #pageNumbers = new Uint32Array(4096);
  #block = 0;
  /** Entries in the block, and how many of them are in the file. */
  #count = 0;
  #written = 0;
  /** Whether the file may hold entries that this object does not. */
  #stale = true;
  #dirtySlots: number[] = [];

  constructor(shm: number, maxFrame: number) {
    this.#shm = shm;
    this.load(maxFrame);
  }

  /** Takes on the state after `maxFrame` (0: an empty WAL), dropping whatever lies beyond. */
  load(maxFrame: number): void {
    const { block, index } = blockOfFrame(Math.max(1, maxFrame));
    this.#block = block;
    this.#count = 0;
    this.#slots.fill(0);
    this.#stale = true;
    const count = maxFrame === 0 ? 0 : index;
    const bytes = new Uint8Array(this.#pageNumbers.buffer, 0, count * 4);
    if (count > 0) {
      const read = readSync(this.#shm, bytes, 0, bytes.length, pageNumberOffset(block, 1));
      assert(read === bytes.length, 'the wal-index ends inside its last block');
    }
    for (let entry = 0; entry < count; entry += 1) this.#insert(this.#pageNumbers[entry]);
    this.#written = count;
    this.#dirtySlots = [];
  }

  /** Records that `frame`, the next one, holds the page. Writes a block out when it is full. */
  add(frame: number, pageNumber: number): void {
    const { block, index } = blockOfFrame(frame);
    if (block !== this.#block) {
      assert(block === this.#block + 1 && index === 1, `frame ${frame} does not follow`);
      this.flush();
      this.#block = block;
      this.#count = 0;
      this.#written = 0;
      this.#slots.fill(0);
      this.#stale = true;
      this.#allocate();
    }
    assert(index === this.#count + 1, `frame ${frame} does not follow`);
    this.#insert(pageNumber);
  }

  /**
   * Page numbers first, hash slots after: a reader that meets a slot finds its page number, and ignores frames beyond
   * its own snapshot.
   */
  flush(): void {
    const fresh = this.#count - this.#written;
    if (fresh === 0) return;
    assert(this.#count <= framesInBlock(this.#block), 'a full wal-index block');
    const numbers = new Uint8Array(this.#pageNumbers.buffer, this.#written * 4, fresh * 4);
    writeSync(this.#shm, numbers, 0, numbers.length, pageNumberOffset(this.#block, this.#written + 1));
    const table = new Uint8Array(this.#slots.buffer);
    const offset = hashTableOffset(this.#block);
    if (this.#stale || fresh > slotsWrittenSingly) {
      writeSync(this.#shm, table, 0, table.length, offset);
    } else {
      for (const slot of this.#dirtySlots) writeSync(this.#shm, table, slot * 2, 2, offset + slot * 2);
    }
    this.#stale = false;
    this.#written = this.#count;
    this.#dirtySlots = [];
  }

  /** The last frame that has an entry. */
  get lastFrame(): number {
    return frameBeforeBlock(this.#block) + this.#count;
  }

  /**
   * Makes the block exist whole before anything points into it: readers map whole blocks. Written, not left as a hole,
   * because a full disk is an error here, and a signal that ends the process in a reader's mapping.
   */
  #allocate(): void {
    const from = this.#block * blockBytes;
    if (fstatSync(this.#shm).size >= from + blockBytes) return;
    writeSync(this.#shm, new Uint8Array(blockBytes), 0, blockBytes, from);
  }

  #insert(pageNumber: number): void {
    this.#pageNumbers[this.#count] = pageNumber;
    this.#count += 1;
    let slot = hashSlot(pageNumber);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (hashSlotCount - 1);
    this.#slots[slot] = this.#count;
    if (this.#dirtySlots.length <= slotsWrittenSingly) this.#dirtySlots.push(slot);
  }
}
