import { assert } from '../base/assert.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { Serial } from '../base/serial.ts';
import { sleep } from '../base/sleep.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { formatPosition, type Position, positionsEqual, txid } from '../ltx/position.ts';
import { type DatabaseFiles, openDatabaseFiles } from '../sqlite/database-files.ts';
import { PageSource } from '../sqlite/page-source.ts';
import { WalInjector } from '../sqlite/wal-injector.ts';
import { Applier, type ApplyMode } from './applier.ts';
import { type Capture, type CapturedBatch, captureFromHere } from './capture.ts';
import { scanChecksums } from './checksum-scan.ts';
import type { DatabaseContext, DatabaseParts } from './database-parts.ts';
import { echoOf, isEcho } from './echo.ts';
import type { LentDatabase } from './lent-database.ts';
import { LentMark } from './lent-mark.ts';
import { waitForLock } from './lock-wait.ts';
import type { PinnedPages } from './pinned-state.ts';
import { Pins } from './pins.ts';
import { settledIndex } from './proven-state.ts';
import { applyLogged, type ReplicaApply } from './replica-apply.ts';
import { notInPlace, type RestingDatabase } from './resting-database.ts';
import { rollForward } from './roll-forward.ts';
import { noteChangedPages } from './scrubbing.ts';
import { repairWalIndexHeader } from './wal-index-repair.ts';

const openTimeoutMs = 10_000;
const writeLockTimeoutMs = 10_000;
/** A program's checkpoint of a whole WAL may take this long. */
const restTimeoutMs = 5_000;
/** A checkpoint of an app's own is over by then, or another pin is tried later. */
const pinTimeoutMs = 250;

/**
 * One database on a node that follows. Holds WRITE from start to end, so that no program can write, and injects the
 * primary's transactions.
 */
export class ReplicaDatabase {
  readonly parts: DatabaseParts;
  readonly files: DatabaseFiles;
  readonly #context: DatabaseContext;
  readonly #serial = new Serial();
  #injector: WalInjector;
  #checksums: PageChecksums;
  /** There while programs of this node may write. */
  #lent: Capture | undefined;
  readonly #lentMark: LentMark;
  #position: Position;
  #recycleFromFrame: number;
  #recycling: 'idle' | 'moving' | 'moved' = 'idle';
  readonly #pins = new Pins();
  #isClosing = false;
  #closed = false;
  /** Wall-clock time, by the primary's clock, of the last transaction applied. */
  appliedTimestampMs = 0;

  private constructor(
    context: DatabaseContext,
    parts: DatabaseParts,
    files: DatabaseFiles,
    checksums: PageChecksums,
  ) {
    this.#context = context;
    this.parts = parts;
    this.files = files;
    this.#checksums = checksums;
    this.#injector = new WalInjector(files);
    this.#lentMark = new LentMark(context.hiddenDirectory, parts.name);
    this.#position = { txid: txid(0), checksum: checksums.checksum };
    this.#recycleFromFrame = context.recycleFrames;
  }

  /**
   * Opens a file that is there, finds its position by its checksum, and rolls it forward from the log. A state that the
   * log does not know has TXID 0, and the primary will send what differs. `proven` are the checksums of the file's pages when
   * it was written a moment ago, which need not be read again. Rejects with what `openDatabaseFiles` does; all is closed
   * then but `parts`.
   */
  static async open(
    context: DatabaseContext,
    parts: DatabaseParts,
    proven?: PageChecksums,
  ): Promise<ReplicaDatabase> {
    const files = await openDatabaseFiles(parts.path, parts.name, openTimeoutMs);
    try {
      if (!(await waitForLock(files, 'write', writeLockTimeoutMs))) {
        throw new SkeinError(
          'DATABASE_BUSY',
          `${parts.name}: a program holds a write transaction open on this replica. Stop it, then start again.`,
        );
      }
      const index = files.walIndex.header() ?? (await repairWalIndexHeader(files));
      assert(index, `the wal-index of ${parts.path} has no valid header`);
      const isAsWritten = proven !== undefined && index.maxFrame === 0;
      const checksums = isAsWritten ? proven : await scanChecksums(new PageSource(files, index));
      const database = new ReplicaDatabase(context, parts, files, checksums);
      await database.#recover();
      return database;
    } catch (error) {
      files.close();
      throw error;
    }
  }

  /** Takes over a database that this node has led with. An app's checkpoints may run again. */
  static adopt(context: DatabaseContext, resting: RestingDatabase): ReplicaDatabase {
    const { parts, files, checksums, position } = resting;
    assert(files.holds('write'), 'nobody writes a database at rest');
    const database = new ReplicaDatabase(context, parts, files, checksums);
    database.#position = position;
    if (files.holds('checkpoint')) files.unlock('checkpoint');
    return database;
  }

  get name(): string {
    return this.parts.name;
  }

  get position(): Position {
    return this.#position;
  }

  /** As far as it is known to be the primary's chain: what a program of this node wrote counts when the primary has it. */
  get provenPosition(): Position {
    const { position } = this.#lentMark;
    return position && position.txid < this.#position.txid ? position : this.#position;
  }

  /** The primary is at a position: what was written here is there too, if that is this one. */
  confirm(position: Position): void {
    if (!this.#lent && positionsEqual(position, this.#position)) this.#lentMark.clear();
  }

  get pageSize(): number {
    return this.files.pageSize;
  }

  get walFrames(): number {
    return this.#injector.maxFrame;
  }

  /** The checksum of every page, for the primary to compare with its own. */
  pageChecksums(): Uint8Array {
    return this.#checksums.encode();
  }

  /**
   * Begins the next LTX file. Its bytes go to the log as they come, and into the WAL by `ReplicaApply.finish`. One that holds
   * what this node wrote itself, as its beginning shows, is only read. Throws `DATABASE_BUSY` while the database is lent.
   */
  beginApply(mode: ApplyMode, beginning?: Uint8Array): ReplicaApply {
    if (this.#lent)
      throw new SkeinError('DATABASE_BUSY', `A program of this node writes ${this.name} at the moment.`);
    if (mode === 'next' && beginning && isEcho(beginning, this.#position))
      return echoOf(this.#position, () => this.#lentMark.clear());
    const writer = mode === 'next' ? this.parts.log.begin() : undefined;
    const applier = new Applier(this.files, this.#checksums, this.#injector, this.#position, mode);
    return applyLogged(applier, this.parts.log, writer, {
      proven: () => this.#lentMark.clear(),
      applied: (position, header) => this.#moveTo(position, header),
      abandoned: () => {
        if (this.parts.log.isStarted && !positionsEqual(this.parts.log.tail, this.#position)) this.#cutLog();
      },
    });
  }

  /**
   * A consistent state of all pages: no checkpoint runs before `release`, Skein's nor an app's. Rejects with
   * `DATABASE_BUSY` when an app's checkpoint does not end.
   */
  pin(): Promise<PinnedPages> {
    return this.#serial.run(async () => {
      const isFree =
        !this.#isClosing &&
        !this.#lent &&
        (this.#pins.isTaken || (await waitForLock(this.files, 'checkpoint', pinTimeoutMs)));
      if (!isFree) {
        throw new SkeinError(
          'DATABASE_BUSY',
          `A program runs a checkpoint of ${this.name} on this replica, or it is being closed. Try again in a moment.`,
        );
      }
      const release = this.#pins.take(() => this.files.unlock('checkpoint'));
      try {
        const index = this.files.walIndex.header();
        assert(index, 'the holder of WRITE always finds a settled wal-index');
        const { recalled } = this.#pins;
        return { source: new PageSource(this.files, index), position: this.#position, recalled, release };
      } catch (error) {
        release();
        throw error;
      }
    });
  }

  /**
   * Reads every page. What something other than Skein has changed is noted, so that the primary can send those pages
   * again. Returns how many there are. Throws the system's error, or `WAL_CORRUPT`.
   */
  async scrub(): Promise<number> {
    if (this.#checksums.isNoting || this.#lent) return 0;
    const expected = this.#checksums.clone();
    const pinned = await this.pin();
    try {
      // An apply between the copy and the pin makes the two unlike; another time, then.
      if (this.#checksums.isNoting || this.#checksums.checksum !== expected.checksum) return 0;
      const pages = await noteChangedPages(pinned, expected, this.#checksums);
      const what = 'pages were changed by something other than Skein; the primary sends them again';
      if (pages > 0) this.#context.warn(what, { database: this.name, pages });
      return pages;
    } finally {
      pinned.release();
    }
  }

  /**
   * Keeps the WAL short, in two steps: a checkpoint beside the applying, and, once that has moved the bulk, a short one
   * for which the caller waits before it applies more, so that the WAL can start over. Undefined when there is nothing
   * to wait for. Never rejects.
   */
  recycleIfDue(): Promise<void> | undefined {
    if (this.#isClosing || this.#pins.isTaken || this.walFrames < this.#recycleFromFrame) return undefined;
    if (this.#recycling === 'idle') {
      this.#recycling = 'moving';
      void this.#move().then(() => {
        this.#recycling = 'moved';
      });
      return undefined;
    }
    return this.#recycling === 'moved' ? this.#serial.run(() => this.#startOver()) : undefined;
  }

  /**
   * Lets programs of this node write, which holds the lock that the primary has halted itself by, until `LentDatabase.takeBack`.
   * Rejects with `DATABASE_BUSY` when it is not at this position, or is in use.
   */
  async lend(expected: Position): Promise<LentDatabase> {
    // With it goes CKPT: no frame that is written here can vanish before it is captured.
    const pinned = await this.pin();
    return this.#serial.run(async () => {
      const isStill = !this.#checksums.isNoting && positionsEqual(this.#position, expected);
      if (this.#lent || !isStill || !positionsEqual(this.parts.log.tail, expected)) {
        pinned.release();
        throw new SkeinError('DATABASE_BUSY', `${this.name} is being changed. Try again in a moment.`);
      }
      try {
        this.#lentMark.set(expected);
      } catch (error) {
        pinned.release();
        throw error;
      }
      this.#lent = captureFromHere(this.files, this.#checksums, this.parts.log, this.#context.nodeId);
      this.files.unlock('write');
      const { recalled, release: abandon } = pinned;
      const takeBack = (timeoutMs: number) => this.#takeBack(timeoutMs, abandon);
      return { recalled, abandon, takeBack, isClosing: () => this.#isClosing };
    });
  }

  /**
   * Gives it up as it is, for this node to lead with. Nothing is being applied any more. Pins are recalled, and waited for.
   * Rejects with `DATABASE_BUSY` when a program's checkpoint, or its transaction while the database is lent, does not end, and
   * `DATABASE_NOT_FOUND` when the file was removed; it is followed with on, then.
   */
  async rest(): Promise<RestingDatabase> {
    if (!this.files.isInPlace) throw notInPlace(this.name);
    this.#isClosing = true;
    this.#pins.recall();
    const lent = this.#lent;
    await (lent ? Promise.race([this.#pins.none, sleep(restTimeoutMs)]) : this.#pins.none);
    if (this.#lent) {
      this.#isClosing = false;
      throw new SkeinError(
        'DATABASE_BUSY',
        `A program writes ${this.name} under a halt lock, so this node cannot lead. End that program.`,
      );
    }
    return this.#serial.run(async () => {
      if (!(await waitForLock(this.files, 'checkpoint', restTimeoutMs))) {
        this.#isClosing = false;
        throw new SkeinError(
          'DATABASE_BUSY',
          `A program runs a checkpoint of ${this.name} that does not end, so this node cannot lead. End that program.`,
        );
      }
      this.#closed = true;
      return { parts: this.parts, files: this.files, checksums: this.#checksums, position: this.#position };
    });
  }

  /** Lets go of everything, when whoever reads a pinned state is done. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#lent) this.#pins.recall();
    await this.#pins.none;
    await this.#serial.run(async () => {
      if (this.#closed) return;
      this.#closed = true;
      await this.parts.log.sync();
      await this.#context.checkpointer.release(this.files.path);
      this.files.close();
      this.parts.log.close();
      this.parts.positionFile.close();
    });
  }

  async #takeBack(timeoutMs: number, release: () => void): Promise<CapturedBatch | 'nothing' | 'busy'> {
    if (!(await waitForLock(this.files, 'write', timeoutMs))) return 'busy';
    return this.#serial.run(async () => {
      const capture = this.#lent;
      assert(capture, 'what is taken back was lent');
      try {
        const batch = await capture.run();
        if (!capture.isAtEnd) throw new SkeinError('WAL_GAP', `Not all of ${this.name} could be captured.`);
        if (batch) this.#moveTo(this.parts.log.tail, batch.record.header);
        else this.#lentMark.clear();
        return batch ?? 'nothing';
      } catch (error) {
        // What is here is not known then: the primary sends what differs.
        this.#checksums = await scanChecksums(new PageSource(this.files, await settledIndex(this.files)));
        this.#position = { txid: txid(0), checksum: this.#checksums.checksum };
        throw error;
      } finally {
        this.#injector = new WalInjector(this.files);
        this.#lent = undefined;
        release();
      }
    });
  }

  /** Never rejects: `#startOver` meets the same problem, and tells of it. */
  async #move(): Promise<void> {
    const move = async () => {
      if (!this.#closed && !this.#pins.isTaken) await this.#context.checkpointer.checkpoint(this.files.path);
    };
    await this.#serial.run(move).catch(() => undefined);
  }

  async #startOver(): Promise<void> {
    let problem = 'a reader holds an old snapshot';
    try {
      if (this.#closed || this.#pins.isTaken || this.walFrames === 0) return;
      await this.#context.checkpointer.checkpoint(this.files.path);
      failpoint('recycle:replica-moved');
      if (this.#injector.tryRestart()) {
        this.#recycleFromFrame = this.#context.recycleFrames;
        return;
      }
    } catch (error) {
      problem = messageOf(error);
    } finally {
      this.#recycling = 'idle';
    }
    this.#recycleFromFrame = this.walFrames + this.#context.recycleFrames;
    this.#context.notice('the WAL could not be recycled and grows on; nothing is lost', {
      database: this.name,
      frames: this.walFrames,
      reason: problem,
    });
  }

  async #recover(): Promise<void> {
    const { log } = this.parts;
    const found = log.isStarted ? log.findChecksum(this.#checksums.checksum) : undefined;
    if (!found) {
      if (log.isStarted) {
        this.#context.notice(
          'this copy is not what its log says; the primary will send the pages that differ',
          {
            database: this.name,
            logEnd: formatPosition(log.tail),
          },
        );
      }
      return;
    }
    const { position, problem } = rollForward(log, found, this.files, this.#checksums, this.#injector);
    this.#position = position;
    if (problem !== undefined) {
      this.#context.warn('the log is damaged; rolled forward as far as it holds', {
        database: this.name,
        reason: problem,
      });
      this.#cutLog();
    }
    this.parts.positionFile.write(this.#position);
  }

  #moveTo(position: Position, header: LtxHeader): void {
    this.#position = position;
    this.appliedTimestampMs = header.timestampMs;
    this.parts.positionFile.write(position);
  }

  #cutLog(): void {
    if (this.parts.log.find(this.#position)) this.parts.log.truncateAfter(this.#position);
  }
}
