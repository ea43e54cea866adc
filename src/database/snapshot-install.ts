import { closeSync, fsync, openSync, renameSync, rmSync, write } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { assert } from '../base/assert.ts';
import { SkeinError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { LtxDecoder } from '../ltx/decoder.ts';
import { isSnapshot, type LtxHeader } from '../ltx/header.ts';
import { PageChecksums } from '../ltx/page-checksums.ts';
import type { DatabaseContext, DatabaseParts } from './database-parts.ts';
import { ReplicaDatabase } from './replica-database.ts';

const sync = promisify(fsync);
const writeAt = promisify(write);
const bufferBytes = 1 << 20;
/** Buffers that are being written while another is filled. */
const writesMax = 3;

/**
 * Receives the snapshot of a database that is not here yet: pages go to a file of Skein's own, which takes the
 * database's name only when all of it is proven and on the disk. A crash before leaves nothing in the app's directory.
 */
export class SnapshotInstall {
  readonly #context: DatabaseContext;
  readonly #parts: DatabaseParts;
  readonly #temporary: string;
  readonly #file: number;
  readonly #decoder: LtxDecoder;
  #checksums: PageChecksums | undefined;
  #header: LtxHeader | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #bufferedPages = 0;
  readonly #writing = new Set<Promise<void>>();
  readonly #free: Buffer[] = [];
  #failure: unknown;
  #isOpen = true;
  #firstBuffered = 0;

  constructor(context: DatabaseContext, parts: DatabaseParts) {
    this.#context = context;
    this.#parts = parts;
    this.#temporary = join(context.hiddenDirectory, 'tmp', `${basename(parts.path)}.snapshot`);
    rmSync(this.#temporary, { force: true });
    this.#file = openSync(this.#temporary, 'w');
    this.#decoder = new LtxDecoder({
      header: (header) => this.#begin(header),
      page: (page, data) => this.#add(page, data),
    });
  }

  /** The chunk stays the caller's. Await `room` before the next. Throws `LTX_INVALID`, or the system's error. */
  push(chunk: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#decoder.push(chunk);
  }

  /** Resolves when few enough writes are under way; undefined when that is so. */
  room(): Promise<unknown> | undefined {
    return this.#writing.size < writesMax ? undefined : Promise.race(this.#writing);
  }

  /**
   * Puts the file in place and opens it. `makeWay` is called when all is proven and on the disk, and removes what has
   * the name so far. Throws `LTX_INVALID`, `POSITION_MISMATCH`, or the system's error; `abort` then.
   */
  async finish(makeWay: () => Promise<void> = () => Promise.resolve()): Promise<ReplicaDatabase> {
    const { header, trailer } = this.#decoder.end();
    this.#flush();
    await Promise.all(this.#writing);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#checksums?.checksum !== trailer.postApplyChecksum) {
      throw new SkeinError(
        'POSITION_MISMATCH',
        `The snapshot of ${this.#parts.name} does not have the checksum that it says. It is asked for again.`,
      );
    }
    await sync(this.#file);
    this.#close();
    failpoint('snapshot:written');
    await makeWay();
    for (const suffix of ['-wal', '-shm', '-journal']) rmSync(this.#parts.path + suffix, { force: true });
    // The log before the file: with the file in place, its checksum is found in the log.
    const position = { txid: header.maxTxid, checksum: trailer.postApplyChecksum };
    this.#parts.log.reset(position);
    renameSync(this.#temporary, this.#parts.path);
    const directory = openSync(dirname(this.#parts.path), 'r');
    await sync(directory);
    closeSync(directory);
    failpoint('snapshot:in-place');
    return ReplicaDatabase.open(this.#context, this.#parts, this.#checksums);
  }

  /** Not before the writes under way are done: their descriptor's number could be another file's. */
  abort(): void {
    rmSync(this.#temporary, { force: true });
    void Promise.all(this.#writing).then(() => this.#close());
  }

  /** Once: by the second time the number may be another file's. */
  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#file);
  }

  #begin(header: LtxHeader): void {
    if (!isSnapshot(header))
      throw new SkeinError(
        'POSITION_MISMATCH',
        `${this.#parts.name} is not here yet, and the primary sent no snapshot.`,
      );
    this.#header = header;
    this.#checksums = new PageChecksums(header.pageSize);
    this.#buffer = Buffer.alloc(Math.max(bufferBytes, header.pageSize));
  }

  #add(page: number, data: Uint8Array): void {
    assert(this.#header && this.#checksums, 'pages come after the header');
    this.#checksums.setPage(page, data);
    const pageSize = this.#header.pageSize;
    const follows = page === this.#firstBuffered + this.#bufferedPages;
    if (!follows || (this.#bufferedPages + 1) * pageSize > this.#buffer.length) {
      this.#flush();
      this.#firstBuffered = page;
    }
    this.#buffer.set(data, this.#bufferedPages * pageSize);
    this.#bufferedPages += 1;
  }

  /** Hands the buffer to the thread pool: while the kernel takes it, the next pages are decoded. */
  #flush(): void {
    if (!this.#header || this.#bufferedPages === 0) return;
    const { pageSize } = this.#header;
    const buffer = this.#buffer;
    const length = this.#bufferedPages * pageSize;
    const writing = this.#write(buffer, length, (this.#firstBuffered - 1) * pageSize)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#writing.delete(writing);
        this.#free.push(buffer);
      });
    this.#writing.add(writing);
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafe(buffer.length);
    this.#bufferedPages = 0;
  }

  async #write(buffer: Buffer, length: number, offset: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const { bytesWritten } = await writeAt(this.#file, buffer, done, length - done, offset + done);
      done += bytesWritten;
    }
  }
}
