import { assert } from '../base/assert.ts';
import { wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import type { CapturedBatch } from '../database/capture.ts';
import type { PinnedState } from '../database/pinned-state.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { writeChangedPages, writeSnapshot } from '../database/snapshot.ts';
import { Spool } from '../database/spool.ts';
import type { LocatedRecord, LogCursor } from '../log/log.ts';
import { PageChecksums } from '../ltx/page-checksums.ts';
import { emptyPosition, formatPosition, type Position, positionsEqual, type Txid } from '../ltx/position.ts';
import { chunkBytesMax, chunkKind, sharedMax } from './protocol.ts';
import type { SocketSender } from './socket-sender.ts';

export type FeedOptions = {
  readonly database: PrimaryDatabase;
  readonly sender: SocketSender;
  /** The number that stands for the database on this link. */
  readonly id: number;
  /** The replica's position; undefined when it does not have the database. */
  readonly from: Position | undefined;
  readonly spoolDirectory: string;
  readonly nodeId: bigint;
  readonly notice: (message: string, fields: Record<string, unknown>) => void;
  /** The position that the replica is known to hold; undefined while its copy is not on this chain. */
  known(position: Position | undefined): void;
};

/**
 * Sends one database to one replica: from its position where the log has it, else the pages that differ, else all of
 * them; then each new LTX file as soon as it is captured.
 */
export class DatabaseFeed {
  readonly #options: FeedOptions;
  readonly #abort = new AbortController();
  #cursor: LogCursor | undefined;
  /** The last transaction of this chain that the replica may have by now. */
  #offered: Txid | undefined;
  #replicaPageChecksums: ((checksums: PageChecksums) => void) | undefined;
  /** Waiting for the next capture, with everything before it sent. */
  #wake: (() => void) | undefined;
  #distrusted: boolean;

  constructor(options: FeedOptions, distrusted: boolean) {
    this.#options = options;
    this.#distrusted = distrusted;
  }

  get id(): number {
    return this.#options.id;
  }

  /** Whether the replica was asked for its page checksums, and has not answered. */
  get isComparing(): boolean {
    return this.#replicaPageChecksums !== undefined;
  }

  get database(): PrimaryDatabase {
    return this.#options.database;
  }

  get #isRunning(): boolean {
    return this.#options.sender.isOpen && !this.#abort.signal.aborted;
  }

  /** The last transaction that the replica has or is being sent, for which the log need not be kept. */
  get sentTxid(): Txid | undefined {
    return this.#cursor?.position.txid ?? this.#offered;
  }

  /** Whether an acknowledgement can be of this chain: one of a chain before it may still be on its way. */
  hasOffered(position: Position): boolean {
    return this.#offered !== undefined && position.txid <= this.#offered;
  }

  /** Runs until `stop` or the link's end. Rejects when the database cannot be sent; the replica connects again then. */
  async run(): Promise<void> {
    const { database } = this.#options;
    const listener = {
      advanced: (batch: CapturedBatch) => this.#advanced(batch),
      restarted: () => {
        this.#offered = undefined;
        this.#options.known(undefined);
        this.#wake?.();
      },
    };
    database.addListener(listener);
    let { from } = this.#options;
    try {
      // A replica whose copy proved wrong may have been told wrong: the primary looks at its own pages too.
      if (this.#distrusted) await database.scrub();
      while (this.#isRunning) {
        const known = from && !this.#distrusted ? database.parts.log.find(from) : undefined;
        // What a replica claims counts only when this log knows it; after a resync, when it is acknowledged.
        this.#offered = known?.position.txid;
        this.#options.known(known?.position);
        this.#cursor = known ?? (await this.#resync(from));
        this.#distrusted = false;
        if (this.#cursor) await this.#follow();
        // Whatever it has by now, it has the database.
        from = this.#cursor?.position ?? from ?? emptyPosition;
        if (this.#isRunning) {
          this.#options.notice('the log no longer leads on from what a replica has', {
            database: database.name,
          });
        }
      }
    } catch (error) {
      if (this.#isRunning) throw error;
    } finally {
      database.removeListener(listener);
    }
  }

  stop(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  /** The replica's answer to `compare`. */
  takeChecksums(pageSize: number, bytes: Uint8Array): void {
    this.#replicaPageChecksums?.(PageChecksums.decode(pageSize, bytes));
  }

  /** From memory, when the replica has all before it and keeps up; else `#follow` reads it from the log. */
  #advanced(batch: CapturedBatch): void {
    const { sender, id } = this.#options;
    const cursor = this.#cursor;
    if (!this.#wake || !cursor) return;
    const { header } = batch.record;
    const isNext = positionsEqual(cursor.position, {
      txid: (header.minTxid - 1) as Txid,
      checksum: header.preApplyChecksum,
    });
    if (!batch.bytes || !isNext || !sender.hasRoom) {
      this.#wake();
      return;
    }
    this.#offered = header.maxTxid;
    sender.sendChunk({ kind: chunkKind.next, id, first: true, last: true, bytes: batch.bytes });
    this.#cursor = {
      position: { txid: header.maxTxid, checksum: batch.record.postApplyChecksum },
      segment: batch.segment,
      offset: batch.record.offset + batch.record.length,
    };
  }

  /** Sends from the log until it no longer leads on from what was sent: it was reset, cut short or damaged. */
  async #follow(): Promise<void> {
    const { database, sender, id } = this.#options;
    const { log } = database.parts;
    sender.sendControl({ type: 'following', id });
    while (this.#cursor && this.#isRunning) {
      let next: ReturnType<typeof log.next>;
      try {
        next = log.next(this.#cursor);
      } catch (error) {
        if (!(error instanceof SkeinError && error.code === 'LOG_CORRUPT')) throw error;
        this.#distrusted = true;
        return;
      }
      if (next) {
        this.#offered = next.after.position.txid;
        await sender.sendPieces(chunkKind.next, id, readRecord(next));
        this.#cursor = next.after;
        continue;
      }
      if (!positionsEqual(log.tail, this.#cursor.position)) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** Sends a state that the replica can take from whatever it has. Returns the place in the log after it. */
  async #resync(from: Position | undefined): Promise<LogCursor | undefined> {
    const { database, sender, id, nodeId, spoolDirectory, notice } = this.#options;
    const theirs = from && (await this.#compare(from));
    const pinned = await database.pin();
    const { position } = pinned;
    this.#offered = position.txid;
    const spool = openSpool(spoolDirectory, database.name, pinned);
    const input = { ...pinned, nodeId, timestampMs: wallClockMs(), pace: () => spool.room() };
    // A file of TXID 1 is a snapshot by definition, so it holds all pages.
    const changedOnly = theirs !== undefined && position.txid > 1 && theirs.pageSize === database.pageSize;
    const inPlace = theirs?.pageSize === database.pageSize;
    notice('sending a database', {
      database: database.name,
      what: changedOnly ? 'the pages that differ' : 'all pages',
    });
    const write = (chunk: Uint8Array) => spool.write(chunk);
    const writing = (
      changedOnly
        ? writeChangedPages(input, theirs, write, this.#abort.signal)
        : writeSnapshot(input, write, this.#abort.signal)
    )
      .then(
        () => spool.end(),
        (error: unknown) => spool.fail(error),
      )
      .finally(() => pinned.release());
    try {
      const kind = inPlace ? chunkKind.changed : chunkKind.snapshot;
      await sender.sendPieces(kind, id, spool.chunks(chunkBytesMax, this.#abort.signal));
    } finally {
      await writing;
      spool.close();
    }
    return database.parts.log.find(position);
  }

  async #compare(from: Position): Promise<PageChecksums> {
    const { database, sender, id } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<PageChecksums>();
    const ended = () => reject(this.#abort.signal.reason);
    this.#abort.signal.addEventListener('abort', ended, { once: true });
    this.#replicaPageChecksums = resolve;
    // What this feed has sent is shared, also where this log has lost it since.
    const isOurs = this.#cursor !== undefined && positionsEqual(this.#cursor.position, from);
    const shared = (isOurs ? [from] : sharedPositions(database, from)).map(formatPosition);
    sender.sendControl({ type: 'compare', id, position: formatPosition(database.position), shared });
    try {
      return await promise;
    } finally {
      this.#abort.signal.removeEventListener('abort', ended);
      this.#replicaPageChecksums = undefined;
    }
  }
}

/** Dense where the replica's log is likely to have gone its own way: at its position and not far before that. */
function sharedPositions({ parts: { log } }: PrimaryDatabase, from: Position): Position[] {
  const upTo = from.txid > 0 && from.txid < log.tail.txid ? from.txid : log.tail.txid;
  return log.recentPositions(sharedMax, upTo);
}

/** The pin must not outlive a spool that could not be made: nothing would be recycled any more. */
function openSpool(directory: string, name: string, pinned: PinnedState): Spool {
  try {
    return new Spool(directory, name);
  } catch (error) {
    pinned.release();
    throw error;
  }
}

/** The LTX file of a record in pieces; each is valid until the next is asked for. */
export function* readRecord({ record, segment }: LocatedRecord): Generator<Uint8Array> {
  assert(record.length > 0, 'a record has bytes');
  const buffer = Buffer.allocUnsafe(Math.min(chunkBytesMax, record.length));
  for (let done = 0; done < record.length; ) {
    const length = Math.min(buffer.length, record.length - done);
    segment.read(buffer, length, record.offset + done);
    done += length;
    yield buffer.subarray(0, length);
  }
}
