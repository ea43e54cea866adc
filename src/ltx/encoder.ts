import { assert } from '../base/assert.ts';
import type { PageNumber } from '../sqlite/page-number.ts';
import { Crc64 } from './crc64.ts';
import { frameBytesMax, frameHeaderBytes, indexSizeBytes, pageHeaderBytes, sizeFieldFlag } from './frame.ts';
import { encodeHeader, type LtxHeader } from './header.ts';
import { lz4Compress } from './lz4.ts';
import { PageIndex } from './page-index.ts';
import { PageSequence } from './page-sequence.ts';
import { type Checksum, checksum, checksumOf } from './position.ts';
import { encodeTrailer, type LtxTrailer, validateTrailer } from './trailer.ts';

const bufferBytes = 256 * 1024;

/** The buffer of the last encoder that finished: small files, thousands a second, would else pay for one each. */
let spareBuffer: Uint8Array<ArrayBuffer> | undefined;

/**
 * Writes one LTX file. The chunks that it hands to `write` are valid during the call only. A caller that gives up
 * half-way drops the encoder.
 */
export class LtxEncoder {
  readonly #header: LtxHeader;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #frameBytesMax: number;
  readonly #crc = new Crc64();
  readonly #index = new PageIndex();
  readonly #sequence: PageSequence;
  /** No `Buffer`: its `slice` is a view, and a `write` that means to copy would keep what is reused. */
  readonly #buffer: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #used = 0;
  #flushedBytes = 0;
  #finished = false;

  /** Throws `LTX_INVALID` when the header is not valid. */
  constructor(header: LtxHeader, write: (bytes: Uint8Array) => void) {
    const headerBytes = encodeHeader(header);
    this.#header = header;
    this.#write = write;
    this.#frameBytesMax = frameBytesMax(header.pageSize);
    this.#sequence = new PageSequence(header);
    this.#buffer = spareBuffer ?? new Uint8Array(bufferBytes);
    this.#view = new DataView(this.#buffer.buffer);
    spareBuffer = undefined;
    this.#append(headerBytes);
  }

  /** The size of the file so far, in bytes, with what is still in the buffer. */
  get bytesWritten(): number {
    return this.#flushedBytes + this.#used;
  }

  /** Adds a page. Pages come in rising order, never the lock page; a snapshot needs every other one. */
  writePage(page: PageNumber, data: Uint8Array): void {
    assert(!this.#finished, 'a page for an LTX file that is finished');
    assert(data.length === this.#header.pageSize, 'a page of the wrong size for its LTX file');
    const problem = this.#sequence.next(page);
    if (problem !== undefined) assert(false, problem);
    if (this.#used + this.#frameBytesMax > bufferBytes) this.#flush();

    const buffer = this.#buffer;
    const start = this.#used;
    // The block first: putting it in place overwrites the end of the frame header.
    const blockBytes = lz4Compress(data, buffer, start + frameHeaderBytes);
    this.#view.setUint32(start, page);
    this.#view.setUint16(start + 4, sizeFieldFlag);
    this.#view.setUint32(start + pageHeaderBytes, blockBytes);
    this.#crc.update(buffer, start, start + frameHeaderBytes).update(data);
    this.#index.append(page, this.bytesWritten, frameHeaderBytes + blockBytes);
    this.#used = start + frameHeaderBytes + blockBytes;
  }

  /** Ends the file. Every byte was handed to `write` when it returns. Throws `LTX_INVALID` on a wrong checksum. */
  finish(postApplyChecksum: Checksum): LtxTrailer {
    assert(!this.#finished, 'an LTX file is finished once');
    const problem = this.#sequence.end();
    if (problem !== undefined) assert(false, problem);
    this.#append(new Uint8Array(pageHeaderBytes));
    const indexBytes = this.#index.finish();
    this.#append(indexBytes);
    const indexSize = new Uint8Array(indexSizeBytes);
    new DataView(indexSize.buffer).setBigUint64(0, BigInt(indexBytes.length));
    this.#append(indexSize);
    const trailer = this.#appendTrailer(postApplyChecksum);
    this.#flush();
    this.#finished = true;
    spareBuffer = this.#buffer;
    return trailer;
  }

  #appendTrailer(postApplyChecksum: Checksum): LtxTrailer {
    const postApply = new Uint8Array(8);
    new DataView(postApply.buffer).setBigUint64(0, checksum(postApplyChecksum));
    this.#crc.update(postApply);
    const trailer = { postApplyChecksum, fileChecksum: checksumOf(this.#crc.high, this.#crc.low) };
    validateTrailer(trailer, this.#header);
    this.#put(encodeTrailer(trailer));
    return trailer;
  }

  #append(bytes: Uint8Array): void {
    this.#crc.update(bytes);
    this.#put(bytes);
  }

  #put(bytes: Uint8Array): void {
    if (this.#used + bytes.length > bufferBytes) this.#flush();
    if (bytes.length > bufferBytes) {
      this.#write(bytes);
      this.#flushedBytes += bytes.length;
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#write(this.#buffer.subarray(0, this.#used));
    this.#flushedBytes += this.#used;
    this.#used = 0;
  }
}
