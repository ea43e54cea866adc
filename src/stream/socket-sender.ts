import type { WebSocket } from 'ws';
import { SkeinError } from '../base/errors.ts';
import { type Chunk, type ChunkKind, encodeChunk } from './protocol.ts';

/** A slow replica has at most this much waiting for it in memory; what comes after waits in the log. */
const bufferedBytesMax = 1 << 20;

/** A frozen or unreachable peer does not answer a close; it is not waited for longer. */
const closeTimeoutMs = 1_000;

/** Sends over one WebSocket without ever buffering beyond a bound. */
export class SocketSender {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Whether more may be sent without waiting. */
  get hasRoom(): boolean {
    return this.isOpen && this.#socket.bufferedAmount < bufferedBytesMax;
  }

  /** Ends the link in order, and without the other side's answer when that does not come. */
  close(code: number): void {
    this.#socket.close(code);
    const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /** A control message: small, and not held back. */
  sendControl(message: object): void {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  /** Takes a copy of the bytes. */
  sendChunk(chunk: Chunk): void {
    if (this.isOpen) this.#socket.send(encodeChunk(chunk));
  }

  /** Sends a file that comes in pieces, waiting whenever the other side is slow. Rejects when the link ends. */
  async sendPieces(
    kind: ChunkKind,
    id: number,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    let first = true;
    for await (const bytes of pieces) {
      await this.#send(encodeChunk({ kind, id, first, last: false, bytes }));
      first = false;
    }
    await this.#send(encodeChunk({ kind, id, first, last: true, bytes: new Uint8Array(0) }));
  }

  #send(message: Buffer): Promise<void> {
    if (!this.isOpen) return Promise.reject(linkEnded());
    if (this.#socket.bufferedAmount < bufferedBytesMax) {
      this.#socket.send(message);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#socket.send(message, (error) => (error ? reject(linkEnded(error)) : resolve()));
    });
  }
}

function linkEnded(cause?: Error): SkeinError {
  return new SkeinError('PRIMARY_UNREACHABLE', 'The link between the nodes ended.', { cause });
}
