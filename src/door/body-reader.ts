import { BadMessage } from './bad-message.ts';
import { ChunkedReader } from './chunked-reader.ts';
import type { Fields } from './fields.ts';

export type BodySink = {
  /** Some of the body, never empty; a part of what was read. */
  bodyData(data: Buffer): void;
};

/** Finds the end of a message's body, and takes its chunks apart. */
export class BodyReader {
  readonly #sink: BodySink;
  readonly #chunked: ChunkedReader | undefined;
  /** Bytes to come; without end for a body that ends with the connection. */
  #left: number;

  constructor(framing: 'none' | 'length' | 'chunked' | 'close', length: number, sink: BodySink) {
    this.#sink = sink;
    this.#chunked = framing === 'chunked' ? new ChunkedReader(sink) : undefined;
    this.#left = framing === 'close' ? Number.POSITIVE_INFINITY : framing === 'length' ? length : 0;
  }

  get isComplete(): boolean {
    return this.#chunked ? this.#chunked.isComplete : this.#left === 0;
  }

  /** The fields after the last chunk. */
  get trailers(): Fields | undefined {
    return this.#chunked?.trailers;
  }

  /** Takes what belongs to the body from `from` on, and returns where the rest begins. Throws `BadMessage`. */
  read(chunk: Buffer, from: number): number {
    if (this.#chunked) return this.#chunked.read(chunk, from);
    const bytes = Math.min(this.#left, chunk.length - from);
    if (bytes <= 0) return from;
    this.#left -= bytes;
    this.#sink.bodyData(from === 0 && bytes === chunk.length ? chunk : chunk.subarray(from, from + bytes));
    return from + bytes;
  }

  /** The connection has ended. Throws `BadMessage` when the body has not. */
  end(): void {
    if (this.#left === Number.POSITIVE_INFINITY) this.#left = 0;
    if (!this.isComplete) throw new BadMessage(400, 'The body ended too early.');
  }
}
