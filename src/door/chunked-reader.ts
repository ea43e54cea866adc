import { BadMessage } from './bad-message.ts';
import { type Fields, parseFields, requireClean } from './fields.ts';

/** Of a chunk's line, with what extensions it has. */
const lineBytesMax = 256;
const trailerBytesMax = 8_192;
const cr = 13;
const lf = 10;

/** A chunk's size, and extensions, which nobody reads. */
const sizeLine = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e]*)?$/;

/** Takes a chunked body apart, however it is cut. */
export class ChunkedReader {
  readonly #sink: { bodyData(data: Buffer): void };
  #state: 'size' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'complete' = 'size';
  #left = 0;
  /** The line or the trailers as far as they have come. */
  #text = '';
  #trailers: Fields | undefined;

  constructor(sink: { bodyData(data: Buffer): void }) {
    this.#sink = sink;
  }

  get isComplete(): boolean {
    return this.#state === 'complete';
  }

  get trailers(): Fields | undefined {
    return this.#trailers;
  }

  /** Takes what belongs to the body from `from` on, and returns where the rest begins. Throws `BadMessage`. */
  read(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#state !== 'complete') {
      switch (this.#state) {
        case 'size':
        case 'trailer':
          at = this.#readLine(chunk, at);
          break;
        case 'data':
          at = this.#readData(chunk, at);
          break;
        case 'data-cr':
          requireByte(chunk[at], cr);
          this.#state = 'data-lf';
          at += 1;
          break;
        case 'data-lf':
          requireByte(chunk[at], lf);
          this.#state = 'size';
          at += 1;
          break;
      }
    }
    return at;
  }

  #readData(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#sink.bodyData(chunk.subarray(at, end));
    this.#left -= end - at;
    if (this.#left === 0) this.#state = 'data-cr';
    return end;
  }

  #readLine(chunk: Buffer, at: number): number {
    const found = chunk.indexOf(lf, at);
    const end = found < 0 ? chunk.length : found + 1;
    const bytesMax = this.#state === 'size' ? lineBytesMax : trailerBytesMax;
    if (this.#text.length + end - at > bytesMax) throw new BadMessage(400, 'A chunk head that is too large.');
    this.#text += chunk.toString('latin1', at, end);
    if (found < 0) return end;
    if (!this.#text.endsWith('\r\n')) throw new BadMessage(400, 'A chunk line that ends with LF alone.');
    if (this.#state === 'size') this.#beginChunk(this.#text.slice(0, -2));
    else if (this.#text === '\r\n' || this.#text.endsWith('\r\n\r\n')) this.#endBody();
    return end;
  }

  #beginChunk(line: string): void {
    const size = sizeLine.exec(line)?.[1];
    if (size === undefined) throw new BadMessage(400, 'A chunk without a size.');
    this.#text = '';
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? 'trailer' : 'data';
  }

  #endBody(): void {
    this.#state = 'complete';
    if (this.#text === '\r\n') return;
    const text = this.#text.slice(0, -2);
    requireClean(text);
    const trailers = parseFields(text, 0);
    if (trailers.isChunked || trailers.contentLength !== undefined || trailers.host !== undefined)
      throw new BadMessage(400, 'A trailer that belongs into the head.');
    this.#trailers = trailers;
  }
}

function requireByte(byte: number, wanted: number): void {
  if (byte !== wanted) throw new BadMessage(400, 'A chunk that does not end where its size says.');
}
