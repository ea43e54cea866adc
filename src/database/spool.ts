import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { sleep } from '../base/sleep.ts';

/** Counts all spools of this process, so that no two share a file. */
let spools = 0;

/** What waits in memory; beyond it, bytes go to the file. */
const memoryBytesMax = 4 << 20;
/** A reader that takes this long for the next piece is a slow one, for which the file is there. */
const roomTimeoutMs = 20;

/**
 * Between a writer at the speed of this machine and a reader at the speed of a far one, so that a database is pinned not
 * much longer than writing takes. While the reader keeps up, bytes go by way of memory, else through a file, which
 * the reader follows while it is being written.
 */
export class Spool {
  readonly #path: string;
  readonly #file: number;
  /** Older than anything in the file that is not read yet. */
  readonly #memory: Uint8Array[] = [];
  #memoryBytes = 0;
  #fileBytes = 0;
  #fileBytesRead = 0;
  #ended = false;
  #failure: unknown;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** A new file in `directory`, named after what it is for. Throws the system's error. */
  constructor(directory: string, purpose: string) {
    spools += 1;
    this.#path = join(directory, `${purpose}.${spools}.spool`);
    this.#file = openSync(this.#path, 'wx+');
  }

  /** The chunk stays the caller's. Throws the system's error. */
  write(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (!this.#isInFile && this.#memoryBytes + chunk.length <= memoryBytesMax) {
      // A copy, whatever the chunk is: `slice` of a Buffer would be a view of what the writer fills again.
      this.#memory.push(Buffer.from(chunk));
      this.#memoryBytes += chunk.length;
    } else {
      for (let done = 0; done < chunk.length; ) {
        done += writeSync(this.#file, chunk, done, chunk.length - done, this.#fileBytes + done);
      }
      this.#fileBytes += chunk.length;
    }
    this.#wakeReader?.();
  }

  /** For the writer between chunks: lets a reader that keeps up make room in memory. */
  async room(): Promise<void> {
    if (this.#isInFile || this.#memoryBytes <= memoryBytesMax / 2) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeWriter = resolve;
    const late = new AbortController();
    await Promise.race([promise, sleep(roomTimeoutMs, late.signal)]);
    late.abort();
    this.#wakeWriter = undefined;
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.end();
  }

  /** All bytes in order, each piece valid until the next is asked for; waits for the writer. Throws what it failed with. */
  async *chunks(chunkBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.alloc(chunkBytes);
    const wake = () => this.#wakeReader?.();
    signal.addEventListener('abort', wake);
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#memory.length > 0) {
          yield this.#takeFromMemory(chunkBytes);
        } else if (this.#isInFile) {
          const wanted = Math.min(chunkBytes, this.#fileBytes - this.#fileBytesRead);
          const read = readSync(this.#file, buffer, 0, wanted, this.#fileBytesRead);
          this.#fileBytesRead += read;
          yield buffer.subarray(0, read);
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
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

  get #isInFile(): boolean {
    return this.#fileBytesRead < this.#fileBytes;
  }

  #takeFromMemory(bytesMax: number): Uint8Array {
    const [oldest] = this.#memory;
    assert(oldest, 'a chunk in memory');
    if (oldest.length <= bytesMax) this.#memory.shift();
    else this.#memory[0] = oldest.subarray(bytesMax);
    const piece = oldest.subarray(0, bytesMax);
    this.#memoryBytes -= piece.length;
    if (this.#memoryBytes <= memoryBytesMax / 2) this.#wakeWriter?.();
    return piece;
  }
}
