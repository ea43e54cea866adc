import { assert } from '../base/assert.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { Serial } from '../base/serial.ts';
import { sleep } from '../base/sleep.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { formatPosition, type Position, positionsEqual, txid } from '../ltx/position.ts';
import { DatabaseFiles } from '../sqlite/database-files.ts';
import { PageSource } from '../sqlite/page-source.ts';
import { Capture, type CapturedBatch, captureFromHere, endOf } from './capture.ts';
import { scanChecksums } from './checksum-scan.ts';
import type { DatabaseContext, DatabaseParts } from './database-parts.ts';
import { writeForeign } from './foreign-transaction.ts';
import { waitForLock } from './lock-wait.ts';
import type { PinnedState } from './pinned-state.ts';
import { Pins } from './pins.ts';
import { beginningOf, committedState, proveState, settledIndex } from './proven-state.ts';
import { type RecycleOutcome, recycleWal } from './recycle.ts';
import type { RestingDatabase } from './resting-database.ts';
import { scrubPages } from './scrubbing.ts';

/** How long a start waits for CKPT, which some program's checkpoint may hold. */
const checkpointLockTimeoutMs = 10_000;

export type PrimaryListener = {
  /** New transactions are in the log. */
  advanced(batch: CapturedBatch): void;
  /** The chain of positions was broken off and begins anew: followers compare pages. */
  restarted(position: Position): void;
};

/**
 * One database on the node that may write it. Holds CKPT from start to end, captures what the app commits, and
 * recycles the WAL.
 */
export class PrimaryDatabase {
  readonly parts: DatabaseParts;
  readonly files: DatabaseFiles;
  readonly #context: DatabaseContext;
  readonly #serial = new Serial();
  readonly #listeners = new Set<PrimaryListener>();
  #checksums: PageChecksums;
  #capture: Capture;
  readonly #pins = new Pins();
  readonly #closing = new AbortController();
  #recycling: Promise<void> | undefined;
  /** The WAL frame before which a recycle that was held up is not tried again. */
  #recycleFromFrame = 0;
  /** No program may write: WRITE is held, or about to be. */
  #isFenced = false;
  /** The same for a node that writes in this one's place. */
  #isHalted = false;
  #closed = false;

  private constructor(
    context: DatabaseContext,
    parts: DatabaseParts,
    files: DatabaseFiles,
    checksums: PageChecksums,
    capture: Capture,
  ) {
    this.#context = context;
    this.parts = parts;
    this.files = files;
    this.#checksums = checksums;
    this.#capture = capture;
    this.#recycleFromFrame = context.recycleFrames;
    parts.positionFile.write(this.position);
  }

  /**
   * Opens a database that the app has made, or that this node has had before, and proves or repairs its position.
   * Throws what `DatabaseFiles` does, and `DATABASE_BUSY`. `after` is the last TXID of one that had the name before.
   */
  static async open(context: DatabaseContext, parts: DatabaseParts, after = 0): Promise<PrimaryDatabase> {
    const files = new DatabaseFiles(parts.path, parts.name);
    try {
      if (!(await waitForLock(files, 'checkpoint', checkpointLockTimeoutMs))) {
        throw new SkeinError(
          'DATABASE_BUSY',
          `${parts.name}: another program holds SQLite's checkpoint lock. Is a second replicator running on this file?`,
        );
      }
      const { checksums, start, isRestartAllowed } = await proveState(context, parts, files, after);
      const capture = new Capture(files, checksums, parts.log, context.nodeId, start, isRestartAllowed);
      return new PrimaryDatabase(context, parts, files, checksums, capture);
    } catch (error) {
      files.close();
      throw error;
    }
  }

  /**
   * Takes over a database that this node has followed with. It is fenced. One whose state its log does not know begins a
   * new chain.
   */
  static adopt(context: DatabaseContext, resting: RestingDatabase): PrimaryDatabase {
    const { parts, files, checksums, position } = resting;
    const { log } = parts;
    assert(
      files.holds('write') && files.holds('checkpoint'),
      'a database that is to be led with has both its locks',
    );
    if (!positionsEqual(log.tail, position)) {
      if (log.find(position)) log.truncateAfter(position);
      else log.reset(beginningOf(context, log, checksums));
    }
    const capture = captureFromHere(files, checksums, log, context.nodeId);
    const database = new PrimaryDatabase(context, parts, files, checksums, capture);
    database.#isFenced = true;
    files.tryLock('write', 1, 'fence');
    files.unlock('write');
    return database;
  }

  get name(): string {
    return this.parts.name;
  }

  get position(): Position {
    return this.parts.log.tail;
  }

  get pageSize(): number {
    return this.files.pageSize;
  }

  get walFrames(): number {
    return this.#capture.at.frame;
  }

  addListener(listener: PrimaryListener): void {
    this.#listeners.add(listener);
  }

  removeListener(listener: PrimaryListener): void {
    this.#listeners.delete(listener);
  }

  /** Captures all that is committed now. Returns the number of commits. Throws the system's error, `DISK_FULL`, `WAL_CORRUPT`. */
  capture(): Promise<number> {
    return this.#serial.run(() => this.#captureNow());
  }

  /** Waits until what is committed now is captured, and pins it. */
  async pin(): Promise<PinnedState> {
    // Counted first, so that no recycle begins any more. One that runs needs the queue, so it is waited for outside.
    this.#requireOpen();
    const release = this.#pins.take();
    try {
      await this.#recycling;
      return await this.#serial.run(async () => {
        // A close gives up waiting for CKPT, without which the file may change.
        this.#requireOpen();
        await this.#captureNow();
        const index = await settledIndex(this.files);
        // A commit after the capture is beyond the state, and frames that are all in the file may be overwritten: the
        // source is cut at what was captured, or reads the file alone.
        const maxFrame = this.#capture.isRestartAllowed ? 0 : this.#capture.at.frame;
        const source = new PageSource(this.files, { ...index, maxFrame, pageCount: this.#checksums.commit });
        const { recalled } = this.#pins;
        return { source, checksums: this.#checksums.clone(), position: this.position, recalled, release };
      });
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * Reads every page. What something other than SQLite has changed counts from here on: a new chain begins, and replicas
   * compare pages. Returns how many pages were changed. Throws the system's error, or `WAL_CORRUPT`.
   */
  async scrub(): Promise<number> {
    const pinned = await this.pin();
    let changed: number;
    try {
      changed = (await scrubPages(pinned.source, pinned.checksums, pinned.recalled)).length;
    } finally {
      pinned.release();
    }
    if (changed === 0 || this.#closed) return changed;
    const what = `${changed} pages of ${this.name} were changed by something other than SQLite; check the disk`;
    await this.#serial.run(() => this.#beginAnew(new SkeinError('POSITION_MISMATCH', what)));
    return changed;
  }

  /** Recycles the WAL when it is long enough and nothing is pinned. Never throws; what held it up is a notice. */
  recycleIfDue(): void {
    if (this.#closing.signal.aborted || this.#recycling || this.#pins.isTaken) return;
    if (this.#isFenced || this.#isHalted) return;
    if (this.walFrames < this.#recycleFromFrame || this.#capture.isRestartAllowed) return;
    this.#recycling = this.#recycle().finally(() => {
      this.#recycling = undefined;
    });
  }

  /**
   * Keeps every program from writing until `unfence`. False when a writer did not let go within `timeoutMs`; it may write on
   * then, until this is called again.
   */
  fence(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    this.#isFenced = true;
    return waitForLock(this.files, 'write', timeoutMs, signal, 'fence');
  }

  /** Lets programs write again: at once, or when a recycle that has WRITE too is done with it. */
  unfence(): void {
    this.#isFenced = false;
    this.files.unlock('write', 1, 'fence');
  }

  /**
   * Keeps every program from writing until `resume`, whatever fences come and go: another node writes the next transactions.
   * False when a writer or a checkpoint did not let go in about `timeoutMs`; all is as before then.
   */
  async halt(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    assert(!this.#isHalted, 'a database is halted once');
    this.#isHalted = true;
    const isHeld = await waitForLock(this.files, 'write', timeoutMs, signal, 'halt');
    // One that runs has given CKPT away, without which nothing can be written here.
    if (this.#recycling) await Promise.race([this.#recycling, sleep(timeoutMs, signal)]);
    if (isHeld && !this.#recycling && this.files.tryLock('checkpoint')) return true;
    await this.resume();
    return false;
  }

  /** Ends `halt`, when what is being applied is done. */
  resume(): Promise<void> {
    return this.#serial.run(async () => {
      this.#isHalted = false;
      this.files.unlock('write', 1, 'halt');
    });
  }

  /**
   * Takes the transactions of another node, an LTX file that follows what is here. The database is halted, and `mayWrite`, asked
   * again at each step: this node may have been the primary only before. Rejects with `LTX_INVALID`, `POSITION_MISMATCH`,
   * `DATABASE_BUSY` or the system's error; nothing has changed then. With `LEASE_LOST` nothing has, or nobody knows if it stays.
   */
  take(chunks: AsyncIterable<Uint8Array>, mayWrite: () => boolean = () => true): Promise<Position> {
    const requireHalted = () => {
      if (!this.#closed && !this.#isFenced && this.#isHalted && mayWrite()) return;
      throw new SkeinError('LEASE_LOST', `${this.name} is not halted on this node any more.`);
    };
    return this.#serial.run(async () => {
      requireHalted();
      await this.#captureNow();
      if (!this.files.holds('checkpoint') || !this.#capture.isAtEnd)
        throw new SkeinError('DATABASE_BUSY', `A program runs a checkpoint of ${this.name}. Try again.`);
      const commits = await writeForeign(this.files, this.#checksums, this.position, chunks, requireHalted);
      failpoint('take:written');
      await this.#captureNow(commits);
      requireHalted();
      return this.position;
    });
  }

  /**
   * Gives up a fenced database as it is, for this node to follow with. Pins are recalled, and waited for. Throws what
   * `capture` does; it is to be closed then.
   */
  async rest(): Promise<RestingDatabase> {
    assert(this.#isFenced && this.files.holds('write'), 'a database is fenced before it is given up');
    this.#closing.abort();
    this.#pins.recall();
    await this.#recycling;
    await this.#pins.none;
    return this.#serial.run(async () => {
      await this.#captureNow();
      // Without CKPT, which a program's checkpoint may have taken from a recycle, a gap is left for later elsewhere.
      if (!this.#capture.isAtEnd)
        throw new SkeinError('WAL_GAP', `Not all of ${this.name} could be captured.`);
      this.#closed = true;
      this.files.tryLock('write');
      this.files.unlock('write', 1, 'fence');
      return { parts: this.parts, files: this.files, checksums: this.#checksums, position: this.position };
    });
  }

  /**
   * Captures what is left and lets go of everything. The app has stopped writing. Pins are recalled, and waited for. Returns the
   * last position.
   */
  async close(): Promise<Position> {
    this.#closing.abort();
    this.#pins.recall();
    await this.#recycling;
    await this.#pins.none;
    return this.#serial.run(async () => {
      if (this.#closed) return this.position;
      try {
        await this.#captureNow();
        await this.parts.log.sync();
      } catch (error) {
        this.#context.notice('the last transactions could not be captured; they are at the next start', {
          database: this.name,
          error: messageOf(error),
        });
      }
      this.#closed = true;
      const { position } = this;
      await this.#context.checkpointer.release(this.files.path);
      this.files.close();
      this.parts.log.close();
      this.parts.positionFile.close();
      return position;
    });
  }

  #requireOpen(): void {
    if (!this.#closing.signal.aborted) return;
    throw new SkeinError('DATABASE_BUSY', `${this.name} is being closed. Try again in a moment.`);
  }

  async #captureNow(commitsKnown?: number): Promise<number> {
    if (this.#closed) return 0;
    try {
      const batch = await this.#capture.run(commitsKnown);
      if (!batch) return 0;
      for (const listener of this.#listeners) listener.advanced(batch);
      // Last: it may fail on a full disk, and the batch is in the log already.
      this.parts.positionFile.write(this.position);
      return batch.commits;
    } catch (error) {
      if (error instanceof SkeinError && error.code === 'WAL_GAP') {
        // Without CKPT the file may change under a scan; it comes back, and the gap is still there then.
        return this.files.holds('checkpoint') ? this.#beginAnew(error) : 0;
      }
      if (systemCodeOf(error) !== 'ENOSPC') throw error;
      const dropped = this.parts.log.dropAllButNewest();
      throw new SkeinError(
        'DISK_FULL',
        `The disk is full: ${this.name} cannot be captured, so replicas stand still and the WAL grows (${dropped} old log segments were given back). Free some space; it goes on by itself.`,
        { cause: error },
      );
    }
  }

  async #beginAnew(reason: SkeinError): Promise<number> {
    const { index, moved, source } = await committedState(this.files);
    this.#checksums = await scanChecksums(source);
    const position = { txid: txid(this.position.txid + 1), checksum: this.#checksums.checksum };
    this.#context.notice(reason.message, { database: this.name, position: formatPosition(position) });
    this.parts.log.reset(position);
    const start = endOf(index, this.#checksums.commit);
    this.#capture = new Capture(
      this.files,
      this.#checksums,
      this.parts.log,
      this.#context.nodeId,
      start,
      moved,
    );
    this.parts.positionFile.write(position);
    for (const listener of this.#listeners) listener.restarted(position);
    return 1;
  }

  async #recycle(): Promise<void> {
    let outcome: RecycleOutcome;
    try {
      outcome = await recycleWal({
        files: this.files,
        log: this.parts.log,
        checkpointer: this.#context.checkpointer,
        signal: this.#closing.signal,
        exclusively: (task) => this.#serial.run(task),
        capture: () => this.#captureNow(),
        capturedFrame: () => this.#capture.at.frame,
        forbidRestart: () => this.#capture.forbidRestart(),
        judgeRestart: () => this.#capture.judgeRestart(),
      });
    } catch (error) {
      outcome = { kind: 'failed', reason: messageOf(error), pauseMs: 0 };
    }
    const { recycleFrames, notice } = this.#context;
    this.#recycleFromFrame = outcome.kind === 'moved' ? recycleFrames : this.walFrames + recycleFrames;
    if (outcome.kind !== 'moved') {
      notice('the WAL could not be recycled and grows on; nothing is lost', {
        database: this.name,
        frames: this.walFrames,
        reason: outcome.reason,
      });
    }
    this.lastRecycle = outcome;
  }

  /** For metrics: how the last recycle went. */
  lastRecycle: RecycleOutcome | undefined;
}
