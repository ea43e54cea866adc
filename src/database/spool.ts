import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Counts all spools of this process, so that no two share a file. */
let spools = 0;

/**
 * A file between a writer at the speed of this machine and a reader at the speed of a far one, so that a database is
 * pinned only for as long as writing takes. The reader follows while it is being written.
 */
export class Spool {
  readonly #path: string;
  readonly #file: number;
  #bytes = 0;
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  /** A new file in `directory`, named after what it is for. Throws the system's error. */
  constructor(directory: string, purpose: string) {
    spools += 1;
    this.#path = join(directory, `${purpose}.${spools}.spool`);
    this.#file = openSync(this.#path, 'wx+');
  }

  /** Throws the system's error. */
  write(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length; ) {
      done += writeSync(this.#file, chunk, done, chunk.length - done, this.#bytes + done);
    }
    this.#bytes += chunk.length;
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.end();
  }

  /** All bytes in order, each piece valid until the next is asked for; waits for the writer. Throws what it failed with. */
  async *chunks(chunkBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.alloc(chunkBytes);
    const wake = () => this.#wake?.();
    signal.addEventListener('abort', wake);
    try {
      for (let done = 0; ; ) {
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure;
        if (done < this.#bytes) {
          const read = readSync(this.#file, buffer, 0, Math.min(chunkBytes, this.#bytes - done), done);
          done += read;
          yield buffer.subarray(0, read);
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  close(): void {
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }
}
