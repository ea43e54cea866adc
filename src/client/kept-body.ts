import type { IncomingMessage } from 'node:http';

/** A request's body, kept beside the app's reading of it, so that the request can be sent once more. */
export class KeptBody {
  readonly #request: IncomingMessage;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  /** False once something is missing: too long, or begun to arrive before. */
  #isWhole: boolean;

  constructor(request: IncomingMessage, bytesMax: number) {
    this.#request = request;
    this.#isWhole = request.readableLength === 0 && !request.readableEnded && !request.readableDidRead;
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) this.#isWhole = false;
    if (!this.#isWhole) return;
    // The parser hands over what it reads by `push`, whoever reads it later.
    const push = request.push;
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk !== null) this.#keep(chunk as Buffer, bytesMax);
      return push.call(request, chunk, encoding);
    };
  }

  /** Undefined while it is incomplete, and where it was not kept whole. */
  get bytes(): Buffer | undefined {
    return this.isKept ? Buffer.concat(this.#chunks) : undefined;
  }

  /** Whether there is all of it. */
  get isKept(): boolean {
    return this.#isWhole && this.#request.complete;
  }

  #keep(chunk: Buffer, bytesMax: number): void {
    this.#bytes += chunk.length;
    if (this.#bytes > bytesMax) {
      this.#isWhole = false;
      this.#chunks.length = 0;
    } else if (this.#isWhole) this.#chunks.push(chunk);
  }
}
