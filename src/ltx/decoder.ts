import { assert } from '../base/assert.ts';
import { type PageNumber, pageNumber } from '../sqlite/page-number.ts';
import { Crc64 } from './crc64.ts';
import { frameHeaderBytes, indexSizeBytes, pageHeaderBytes, sizeFieldBytes, sizeFieldFlag } from './frame.ts';
import { decodeHeader, type LtxHeader, ltxHeaderBytes } from './header.ts';
import { ltxInvalid } from './ltx-invalid.ts';
import { lz4BlockBytesMax, lz4Decompress } from './lz4.ts';
import { PageIndex } from './page-index.ts';
import { PageSequence } from './page-sequence.ts';
import { checksumOf } from './position.ts';
import { decodeTrailer, type LtxTrailer, ltxTrailerBytes, validateTrailer } from './trailer.ts';

export type LtxHandlers = {
  header?(header: LtxHeader): void;
  /** `data` is valid during the call only, and is not yet proven: that takes `end`. */
  page(page: PageNumber, data: Uint8Array): void;
};

/** What the next bytes are. */
type Stage = 'header' | 'pageHeader' | 'blockSize' | 'block' | 'index' | 'indexSize' | 'trailer' | 'done';

const noBytes: Buffer = Buffer.alloc(0);

/**
 * Reads one LTX file from chunks of any size, and keeps no more of it than one frame and its index. Only when `end`
 * has returned is anything that the handlers were given known to be right. After an error, of the file or of a
 * handler, every further call throws the same.
 */
export class LtxDecoder {
  readonly #handlers: LtxHandlers;
  readonly #crc = new Crc64();
  readonly #index = new PageIndex();
  #stage: Stage = 'header';
  #needBytes = ltxHeaderBytes;
  /** The first bytes of what `#stage` needs, where a chunk ended within it. */
  #pending = noBytes;
  #pendingBytes = 0;
  #header: LtxHeader | undefined;
  #sequence: PageSequence | undefined;
  #trailer: LtxTrailer | undefined;
  #page = 0;
  /** Bytes of the file that were taken in. */
  #offset = 0;
  /** The index as the frames say that it must be, and how much of it the file has confirmed. */
  #indexBytes = noBytes;
  #indexMatchedBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(handlers: LtxHandlers) {
    this.#handlers = handlers;
  }

  /** Takes the next bytes of the file; they stay the caller's. Throws `LTX_INVALID`, or what a handler threw. */
  push(chunk: Uint8Array): void {
    if (this.#failure) throw this.#failure.error;
    try {
      let next = 0;
      while (next < chunk.length) next = this.#take(chunk, next);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** Says that the file is whole. Throws `LTX_INVALID` when it is not, or its checksum is wrong. */
  end(): { header: LtxHeader; trailer: LtxTrailer } {
    if (this.#failure) throw this.#failure.error;
    if (this.#header === undefined || this.#trailer === undefined) {
      throw this.#fail(`it ends early, after ${this.#offset} bytes`);
    }
    if (this.#trailer.fileChecksum !== checksumOf(this.#crc.high, this.#crc.low)) {
      throw this.#fail('its file checksum is wrong');
    }
    return { header: this.#header, trailer: this.#trailer };
  }

  #fail(detail: string): Error {
    const error = ltxInvalid(detail);
    this.#failure = { error };
    return error;
  }

  /** Takes from `chunk` at `start` what the stage needs, or as much as there is; returns where the rest begins. */
  #take(chunk: Uint8Array, start: number): number {
    if (this.#stage === 'index') return this.#takeIndex(chunk, start);
    if (this.#stage === 'done') throw ltxInvalid('bytes follow its trailer');
    const needBytes = this.#needBytes;
    if (this.#pendingBytes === 0 && chunk.length - start >= needBytes) {
      this.#offset += needBytes;
      this.#process(chunk, start, start + needBytes);
      return start + needBytes;
    }
    const end = Math.min(chunk.length, start + needBytes - this.#pendingBytes);
    this.#keep(chunk.subarray(start, end));
    this.#offset += end - start;
    if (this.#pendingBytes === needBytes) {
      this.#pendingBytes = 0;
      this.#process(this.#pending, 0, needBytes);
    }
    return end;
  }

  #keep(bytes: Uint8Array): void {
    if (this.#pending.length < this.#needBytes) {
      const larger = Buffer.allocUnsafe(Math.max(this.#needBytes, 1024));
      larger.set(this.#pending.subarray(0, this.#pendingBytes));
      this.#pending = larger;
    }
    this.#pending.set(bytes, this.#pendingBytes);
    this.#pendingBytes += bytes.length;
  }

  /** Handles what the stage needed, all of it: `bytes` from `start` to before `end`. */
  #process(bytes: Uint8Array, start: number, end: number): void {
    if (this.#stage === 'block') {
      this.#processBlock(bytes, start, end);
      return;
    }
    // The last eight bytes of the file are the checksum of all before.
    this.#crc.update(bytes, start, this.#stage === 'trailer' ? end - 8 : end);
    switch (this.#stage) {
      case 'header':
        this.#header = decodeHeader(bytes.subarray(start, end));
        this.#sequence = new PageSequence(this.#header);
        this.#expect('pageHeader', pageHeaderBytes);
        this.#handlers.header?.(this.#header);
        break;
      case 'pageHeader':
        this.#processPageHeader(readUint32(bytes, start), (bytes[start + 4] << 8) | bytes[start + 5]);
        break;
      case 'blockSize':
        this.#processBlockSize(readUint32(bytes, start));
        break;
      case 'indexSize':
        this.#processIndexSize(readUint32(bytes, start) * 2 ** 32 + readUint32(bytes, start + 4));
        break;
      case 'trailer':
        this.#processTrailer(decodeTrailer(bytes.subarray(start, end)));
        break;
    }
  }

  #processPageHeader(page: number, flags: number): void {
    const sequence = this.#sequence;
    assert(sequence, 'pages come after the header');
    if (page === 0 && flags === 0) {
      const problem = sequence.end();
      if (problem !== undefined) throw ltxInvalid(problem);
      this.#indexBytes = this.#index.finish();
      this.#expect('index', this.#indexBytes.length);
      return;
    }
    if (flags !== sizeFieldFlag) throw ltxInvalid(`the flags ${flags} of page ${page} are not known`);
    const problem = sequence.next(page);
    if (problem !== undefined) throw ltxInvalid(problem);
    this.#page = page;
    this.#expect('blockSize', sizeFieldBytes);
  }

  #processBlockSize(blockBytes: number): void {
    assert(this.#header, 'frames come after the header');
    if (blockBytes === 0 || blockBytes > lz4BlockBytesMax(this.#header.pageSize)) {
      throw ltxInvalid(`page ${this.#page} cannot take ${blockBytes} bytes compressed`);
    }
    this.#index.append(this.#page, this.#offset - frameHeaderBytes, frameHeaderBytes + blockBytes);
    this.#expect('block', blockBytes);
  }

  #processBlock(bytes: Uint8Array, start: number, end: number): void {
    assert(this.#header, 'frames come after the header');
    const data = lz4Decompress(bytes, start, end, this.#header.pageSize);
    this.#crc.update(data);
    this.#expect('pageHeader', pageHeaderBytes);
    this.#handlers.page(pageNumber(this.#page), data);
  }

  #takeIndex(chunk: Uint8Array, start: number): number {
    const matched = this.#indexMatchedBytes;
    const bytes = Math.min(chunk.length - start, this.#indexBytes.length - matched);
    if (this.#indexBytes.compare(chunk, start, start + bytes, matched, matched + bytes) !== 0) {
      throw ltxInvalid('its index does not match its pages');
    }
    this.#crc.update(chunk, start, start + bytes);
    this.#offset += bytes;
    this.#indexMatchedBytes += bytes;
    if (this.#indexMatchedBytes === this.#indexBytes.length) this.#expect('indexSize', indexSizeBytes);
    return start + bytes;
  }

  #processIndexSize(bytes: number): void {
    if (bytes !== this.#indexBytes.length) throw ltxInvalid('the size of its index is wrong');
    this.#expect('trailer', ltxTrailerBytes);
  }

  #processTrailer(trailer: LtxTrailer): void {
    assert(this.#header, 'the trailer comes after the header');
    validateTrailer(trailer, this.#header);
    this.#trailer = trailer;
    this.#expect('done', 0);
  }

  #expect(stage: Stage, needBytes: number): void {
    this.#stage = stage;
    this.#needBytes = needBytes;
  }
}

function readUint32(bytes: Uint8Array, start: number): number {
  return ((bytes[start] << 24) | (bytes[start + 1] << 16) | (bytes[start + 2] << 8) | bytes[start + 3]) >>> 0;
}
