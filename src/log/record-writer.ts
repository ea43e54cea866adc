import { assert } from '../base/assert.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { Checksum } from '../ltx/position.ts';
import { encodeRecordHead, type LogRecord, recordHeadBytes } from './record.ts';
import type { Segment } from './segment.ts';

/** LTX files up to this size are written at once and handed on from memory; larger ones are read back from the file. */
export const inMemoryBytesMax = 1 << 18;

/**
 * Appends one LTX file to a segment as its bytes come. A small one is held back and written in one call. Until `commit`
 * the record has no head, so that a crash leaves nothing that counts.
 */
export class RecordWriter {
  readonly #segment: Segment;
  readonly #start: number;
  /** The head and the bytes that are not in the file yet. */
  #pending: Buffer | undefined;
  #flushed = 0;
  #done = false;

  constructor(segment: Segment) {
    this.#segment = segment;
    this.#start = segment.bytes;
  }

  /** Takes a copy of the chunk. Throws the system's error when the disk refuses. */
  write(chunk: Uint8Array): void {
    assert(!this.#done, 'a write to a finished record');
    if (
      this.#flushed === 0 &&
      recordHeadBytes + (this.#pending?.length ?? 0) + chunk.length <= inMemoryBytesMax
    ) {
      this.#pending = this.#pending
        ? Buffer.concat([this.#pending, chunk])
        : Buffer.concat([Buffer.alloc(recordHeadBytes), chunk]);
      return;
    }
    if (this.#pending || this.#flushed === 0) this.#flush(this.#pending ?? Buffer.alloc(recordHeadBytes));
    this.#pending = undefined;
    this.#flush(chunk);
  }

  /** Finishes the record. `bytes` is the whole LTX file when it is small; the caller may keep it. */
  commit(header: LtxHeader, postApplyChecksum: Checksum): { record: LogRecord; bytes: Buffer | undefined } {
    assert(!this.#done, 'a second commit of a record');
    const offset = this.#start + recordHeadBytes;
    let bytes: Buffer | undefined;
    let length: number;
    if (this.#pending && this.#flushed === 0) {
      length = this.#pending.length - recordHeadBytes;
      encodeRecordHead(length, this.#pending);
      this.#segment.write(this.#pending, this.#start);
      bytes = this.#pending.subarray(recordHeadBytes);
    } else {
      length = this.#flushed - recordHeadBytes;
      const head = Buffer.alloc(recordHeadBytes);
      encodeRecordHead(length, head);
      this.#segment.write(head, this.#start);
    }
    this.#done = true;
    const record: LogRecord = { header, postApplyChecksum, offset, length };
    this.#segment.accept(record);
    return { record, bytes };
  }

  /** Forgets the record. Safe after any failure. */
  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#pending = undefined;
    // A segment that is closed was cut, or dropped, by whoever closed it.
    if (!this.#segment.isClosed) this.#segment.discardTail();
  }

  #flush(bytes: Uint8Array): void {
    this.#segment.write(bytes, this.#start + this.#flushed);
    this.#flushed += bytes.length;
  }
}
