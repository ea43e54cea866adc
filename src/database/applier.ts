import { assert } from '../base/assert.ts';
import { SkeinError } from '../base/errors.ts';
import { LtxDecoder } from '../ltx/decoder.ts';
import { isSnapshot, type LtxHeader } from '../ltx/header.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { checksumsAgree, formatChecksum, formatTxid, type Position } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { PageSource } from '../sqlite/page-source.ts';
import type { WalInjector } from '../sqlite/wal-injector.ts';

/** How an LTX file relates to what the replica has: the next transactions, or the pages that differ from the primary's. */
export type ApplyMode = 'next' | 'changed';

/**
 * Applies one LTX file to a live database as one SQLite transaction, page by page as its bytes come. Nothing is
 * visible to readers before both the file's checksum and the database's have been found right.
 */
export class Applier {
  readonly #files: DatabaseFiles;
  readonly #checksums: PageChecksums;
  readonly #injector: WalInjector;
  readonly #mode: ApplyMode;
  readonly #from: Position;
  readonly #decoder: LtxDecoder;
  /** The page before the one being decoded: the last one carries the commit, and which is last shows only after it. */
  readonly #held: Buffer;
  #heldPage = 0;
  #commitBefore: number;
  #proven: LtxHeader | undefined;
  #done = false;

  constructor(
    files: DatabaseFiles,
    checksums: PageChecksums,
    injector: WalInjector,
    from: Position,
    mode: ApplyMode,
  ) {
    this.#files = files;
    this.#checksums = checksums;
    this.#injector = injector;
    this.#from = from;
    this.#mode = mode;
    this.#commitBefore = checksums.commit;
    this.#held = Buffer.allocUnsafe(files.pageSize);
    this.#decoder = new LtxDecoder({
      header: (header) => this.#check(header),
      page: (page, data) => this.#add(page, data),
    });
    checksums.beginUndo();
  }

  /** Throws `LTX_INVALID`, `POSITION_MISMATCH`, or the system's error; call `abort` then. */
  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  /** Checks the whole file and the state it leads to. Throws as `push` does. */
  prove(): { position: Position; header: LtxHeader } {
    const { header, trailer } = this.#decoder.end();
    this.#checksums.truncate(header.commit);
    const { checksum } = this.#checksums;
    if (!checksumsAgree(checksum, trailer.postApplyChecksum)) {
      throw new SkeinError(
        'POSITION_MISMATCH',
        `After TXID ${formatTxid(header.maxTxid)} this copy of ${this.#files.path} has checksum ${formatChecksum(checksum)}, the primary's has ${formatChecksum(trailer.postApplyChecksum)}. The pages that differ are fetched anew.`,
      );
    }
    this.#proven = header;
    return { position: { txid: header.maxTxid, checksum }, header };
  }

  /** Makes the proven transaction visible to readers. Throws the system's error; call `abort` then. */
  publish(): void {
    const header = this.#proven;
    assert(header, 'a transaction is proven before it is published');
    if (this.#heldPage > 0) {
      this.#injector.addPage(this.#heldPage, this.#held, header.commit);
      this.#injector.commit(header.commit);
    } else if (this.#commitBefore !== header.commit) {
      this.#commitSize(header.commit);
    }
    this.#checksums.keep();
    this.#done = true;
  }

  /** Takes everything back. Safe after any failure, and after `finish` does nothing. */
  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#checksums.undo();
    this.#injector.rollback();
  }

  #check(header: LtxHeader): void {
    if (header.pageSize !== this.#files.pageSize) {
      throw new SkeinError(
        'POSITION_MISMATCH',
        `The primary's pages have ${header.pageSize} bytes, this copy's ${this.#files.pageSize}.`,
      );
    }
    const follows = this.#mode === 'changed' || header.minTxid === this.#from.txid + 1;
    const expected = this.#mode === 'changed' ? this.#checksums.checksum : this.#from.checksum;
    if (follows && (isSnapshot(header) || checksumsAgree(header.preApplyChecksum, expected))) return;
    throw new SkeinError(
      'POSITION_MISMATCH',
      `Transactions from TXID ${formatTxid(header.minTxid)} do not follow this copy of ${this.#files.path} at TXID ${formatTxid(this.#from.txid)}.`,
    );
  }

  #add(page: number, data: Uint8Array): void {
    this.#checksums.setPage(page, data);
    if (this.#heldPage > 0) this.#injector.addPage(this.#heldPage, this.#held, 0);
    this.#held.set(data);
    this.#heldPage = page;
  }

  /** No page differs, only the size: the first page goes in again, to carry the new size. */
  #commitSize(commit: number): void {
    const index = this.#files.walIndex.header();
    assert(index, 'the holder of WRITE always finds a settled wal-index');
    this.#held.set(new PageSource(this.#files, index).page(1));
    this.#injector.addPage(1, this.#held, commit);
    this.#injector.commit(commit);
  }
}
