import { assert } from '../base/assert.ts';
import { wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { TimeSlice } from '../base/time-slice.ts';
import type { LocatedRecord, Log } from '../log/log.ts';
import { LtxEncoder } from '../ltx/encoder.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { type Position, txid } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { lockPageNumber, pageNumber } from '../sqlite/page-number.ts';
import { PageSource } from '../sqlite/page-source.ts';
import { frameHeaderBytes, frameOffset, walHeaderBytes } from '../sqlite/wal-format.ts';
import { WalFrames } from '../sqlite/wal-frames.ts';
import type { WalIndexHeader } from '../sqlite/wal-index.ts';
import { repairWalIndexHeader } from './wal-index-repair.ts';

/** The wal-index is copied within nanoseconds; a header that differs this often is not in progress but broken off. */
const headerTriesMax = 200;

/** The place up to which an LTX file captured a WAL; undefined for one that was not made from a WAL. */
export function placeAfter(header: LtxHeader): CaptureStart | undefined {
  if (header.walSize === 0) return undefined;
  const frame = (header.walOffset + header.walSize - walHeaderBytes) / (frameHeaderBytes + header.pageSize);
  return { frame, salt1: header.walSalt1, salt2: header.walSalt2, change: undefined, commit: header.commit };
}

/** A writer that lives, and was only interrupted, lets go of WRITE soon; it is looked for again at the next run. */
const writerTimeoutMs = 20;

export type CapturedBatch = LocatedRecord & {
  /** The LTX file itself when it is small. */
  readonly bytes: Buffer | undefined;
  readonly commits: number;
};

/** A place in a WAL up to which everything is captured. */
export type CaptureStart = {
  readonly frame: number;
  readonly salt1: number;
  readonly salt2: number;
  /** SQLite's count of commits there, if it is known. */
  readonly change: number | undefined;
  /** Database size in pages there. */
  readonly commit: number;
};

/** The place up to which a WAL is captured when all of it is. */
export function endOf(index: WalIndexHeader, commit: number): CaptureStart {
  return { frame: index.maxFrame, salt1: index.salt1, salt2: index.salt2, change: index.change, commit };
}

/** A capture that begins after all that is committed now, which is at the log's end. The caller holds WRITE and CKPT. */
export function captureFromHere(
  files: DatabaseFiles,
  checksums: PageChecksums,
  log: Log,
  nodeId: bigint,
): Capture {
  const index = files.walIndex.header();
  assert(index, 'the holder of WRITE always finds a settled wal-index');
  const capture = new Capture(files, checksums, log, nodeId, endOf(index, checksums.commit), false);
  capture.judgeRestart();
  return capture;
}

/**
 * Turns what the app has committed since the last run into one LTX file in the log. Runs only while CKPT is held (or
 * WRITE, with all captured): no frame can vanish before it was read here. One run at a time.
 */
export class Capture {
  readonly #files: DatabaseFiles;
  readonly #checksums: PageChecksums;
  readonly #log: Log;
  readonly #nodeId: bigint;
  readonly #frames: WalFrames;
  readonly #lockPage: number;
  #start: CaptureStart;
  /**
   * Whether all frames were captured and are in the database file, so that the next writer may restart the WAL. A
   * restart at any other time has lost frames before they were seen.
   */
  #restartAllowed: boolean;

  constructor(
    files: DatabaseFiles,
    checksums: PageChecksums,
    log: Log,
    nodeId: bigint,
    start: CaptureStart,
    restartAllowed: boolean,
  ) {
    this.#files = files;
    this.#checksums = checksums;
    this.#log = log;
    this.#nodeId = nodeId;
    this.#frames = new WalFrames(files);
    this.#lockPage = lockPageNumber(files.pageSize);
    this.#start = start;
    this.#restartAllowed = restartAllowed;
  }

  /** CKPT is about to be given away: nobody may restart the WAL unnoticed until `judgeRestart`. */
  forbidRestart(): void {
    this.#restartAllowed = false;
  }

  /** CKPT is held: the WAL may be restarted if it is still the one that was captured and all of that is in the file. */
  judgeRestart(): void {
    const index = this.settledHeader();
    this.#restartAllowed =
      index !== undefined &&
      this.#isSameWal(index) &&
      this.#files.walIndex.backfilled() === this.#start.frame;
  }

  /** Whether all captured frames are in the database file, and the next writer may overwrite them. */
  get isRestartAllowed(): boolean {
    return this.#restartAllowed;
  }

  /** Whether all that is committed is captured. */
  get isAtEnd(): boolean {
    const index = this.settledHeader();
    // A WAL that was restarted and not written since has no frame to capture.
    if (index && !this.#isSameWal(index)) return this.#restartAllowed && index.maxFrame === 0;
    return index?.maxFrame === this.#start.frame;
  }

  /** How much of the WAL is captured, and which WAL. */
  get at(): CaptureStart {
    return this.#start;
  }

  /**
   * Captures all that is committed now; undefined when there is nothing new. Throws `DATABASE_BUSY`, `WAL_GAP`,
   * `WAL_CORRUPT`, or the system's error; nothing has changed then, and it may be run again. `commitsKnown` is their number where
   * SQLite has not counted them.
   */
  async run(commitsKnown?: number): Promise<CapturedBatch | undefined> {
    const index = this.settledHeader() ?? (await repairWalIndexHeader(this.#files, writerTimeoutMs));
    if (!index) {
      throw new SkeinError(
        'DATABASE_BUSY',
        `${this.#files.path}: a writer was interrupted in the middle of its commit. It is tried again.`,
      );
    }
    if (index.maxFrame === this.#start.frame && this.#isSameWal(index)) return undefined;
    let { frame } = this.#start;
    if (!this.#isSameWal(index)) {
      if (!this.#restartAllowed)
        throw gap(this.#files.path, 'the WAL was restarted before all of it was captured');
      frame = 0;
    }
    if (index.maxFrame === 0) return undefined;
    if (index.maxFrame < frame)
      throw gap(this.#files.path, 'the WAL is shorter than what was captured of it');
    const commits = commitsKnown ?? this.#countCommits(index, frame);
    const batch = await this.#capture(index, frame, commits);
    this.#start = endOf(index, index.pageCount);
    // With CKPT held nothing is moved any more: where all of it has been, the next writer may restart the WAL.
    if (this.#files.holds('checkpoint')) this.judgeRestart();
    else this.forbidRestart();
    return { ...batch, commits };
  }

  /** The wal-index header, undefined while it is being written. */
  settledHeader(): WalIndexHeader | undefined {
    for (let attempt = 0; attempt < headerTriesMax; attempt += 1) {
      const index = this.#files.walIndex.header();
      if (index) return index;
    }
    return undefined;
  }

  #isSameWal(index: WalIndexHeader): boolean {
    return index.salt1 === this.#start.salt1 && index.salt2 === this.#start.salt2;
  }

  /** SQLite counts commits in the wal-index; where that cannot be right, the frames are looked at. */
  #countCommits(index: WalIndexHeader, frame: number): number {
    const { change } = this.#start;
    const counted = change === undefined ? 0 : (index.change - change) >>> 0;
    if (counted >= 1 && counted <= index.maxFrame - frame) return counted;
    return Math.max(1, this.#frames.countCommits(frame + 1, index.maxFrame));
  }

  async #capture(
    index: WalIndexHeader,
    frame: number,
    commits: number,
  ): Promise<LocatedRecord & { bytes: Buffer | undefined }> {
    if (!this.#frames.endsAs(index)) {
      throw new SkeinError(
        'WAL_CORRUPT',
        `${this.#files.path}-wal does not end as its index says. Check the disk.`,
      );
    }
    const tail: Position = this.#log.tail;
    const pages = this.#pagesToShip(index, frame);
    const header = this.#ltxHeader(index, frame, tail, commits);
    const grown = pages.missing.length > 0 ? new PageSource(this.#files, index) : undefined;
    const writer = this.#log.begin();
    const slice = new TimeSlice();
    this.#checksums.beginUndo();
    try {
      const encoder = new LtxEncoder(header, (chunk) => writer.write(chunk));
      for (const page of pages.sorted) {
        const at = pages.frameOf(page);
        const data = at > 0 ? this.#frames.page(at, page, index) : grown?.page(page);
        assert(data, 'a page in neither the WAL nor the file');
        this.#checksums.setPage(page, data);
        encoder.writePage(pageNumber(page), data);
        if (slice.isOver) await slice.yield();
      }
      this.#checksums.truncate(index.pageCount);
      const { checksum } = this.#checksums;
      encoder.finish(checksum);
      failpoint('capture:encoded');
      const located = this.#log.commit(writer, header, checksum);
      failpoint('capture:logged');
      this.#checksums.keep();
      return located;
    } catch (error) {
      this.#checksums.undo();
      writer.abort();
      throw error;
    }
  }

  #ltxHeader(index: WalIndexHeader, frame: number, tail: Position, commits: number): LtxHeader {
    const { pageSize } = this.#files;
    return {
      flags: 0,
      pageSize,
      commit: index.pageCount,
      minTxid: txid(tail.txid + 1),
      maxTxid: txid(tail.txid + commits),
      timestampMs: wallClockMs(),
      preApplyChecksum: tail.checksum,
      walOffset: frameOffset(frame + 1, pageSize),
      walSize: (index.maxFrame - frame) * (frameHeaderBytes + pageSize),
      walSalt1: index.salt1,
      walSalt2: index.salt2,
      nodeId: this.#nodeId,
    };
  }

  /**
   * Every page of the batch once, with its last frame; and the pages by which the database grew that no frame holds
   * (a shrink and a growth in one batch leave such), so that a file always has all of a growth.
   */
  #pagesToShip(index: WalIndexHeader, frame: number): PagesToShip {
    const numbers = this.#files.walIndex.pageNumbers(frame + 1, index.maxFrame);
    const frameOfPage = new Map<number, number>();
    for (let entry = 0; entry < numbers.length; entry += 1) {
      const page = numbers[entry];
      if (page <= index.pageCount && page !== this.#lockPage) frameOfPage.set(page, frame + 1 + entry);
    }
    const missing: number[] = [];
    for (let page = this.#start.commit + 1; page <= index.pageCount; page += 1) {
      if (page !== this.#lockPage && !frameOfPage.has(page)) missing.push(page);
    }
    const sorted = Uint32Array.from([...frameOfPage.keys(), ...missing]).sort();
    return { sorted, missing, frameOf: (page) => frameOfPage.get(page) ?? 0 };
  }
}

type PagesToShip = {
  readonly sorted: Uint32Array;
  readonly missing: readonly number[];
  frameOf(page: number): number;
};

function gap(path: string, what: string): SkeinError {
  return new SkeinError(
    'WAL_GAP',
    `${path}: ${what}. All pages are compared instead; nothing is lost on this node.`,
  );
}
