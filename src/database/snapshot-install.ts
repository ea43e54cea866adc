import { closeSync, fdatasync, fsync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
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
const syncData = promisify(fdatasync);
const bufferBytes = 1 << 20;
/** So much is brought to the disk at a time. */
const syncBytes = 1 << 26;

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
  #buffer = Buffer.alloc(0);
  #bufferedPages = 0;
  #unsyncedBytes = 0;
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

  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  /**
   * Puts the file in place and opens it. `makeWay` is called when all is proven and on the disk, and removes what has
   * the name so far. Throws `LTX_INVALID`, `POSITION_MISMATCH`, or the system's error; `abort` then.
   */
  async finish(makeWay: () => Promise<void> = () => Promise.resolve()): Promise<ReplicaDatabase> {
    const { header, trailer } = this.#decoder.end();
    this.#flush();
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

  abort(): void {
    this.#close();
    rmSync(this.#temporary, { force: true });
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

  #flush(): void {
    if (!this.#header || this.#bufferedPages === 0) return;
    const { pageSize } = this.#header;
    const length = this.#bufferedPages * pageSize;
    const offset = (this.#firstBuffered - 1) * pageSize;
    for (let done = 0; done < length; )
      done += writeSync(this.#file, this.#buffer, done, length - done, offset + done);
    this.#bufferedPages = 0;
    this.#unsyncedBytes += length;
    if (this.#unsyncedBytes < syncBytes) return;
    this.#unsyncedBytes = 0;
    // Ahead of the one at the end, which then has little to wait for; that one tells what goes wrong.
    syncData(this.#file).catch(() => undefined);
  }
}
