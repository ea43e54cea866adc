import { fdatasync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert } from '../base/assert.ts';
import { wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import type { LtxHeader } from '../ltx/header.ts';
import {
  type Checksum,
  checksumsAgree,
  emptyPosition,
  formatTxid,
  type Position,
  positionsEqual,
  type Txid,
} from '../ltx/position.ts';
import { samplePositions } from './position-sample.ts';
import { type LogCursor, RecentPlaces } from './recent-places.ts';
import { follows, type LogRecord, positionAfter } from './record.ts';
import { RecordWriter } from './record-writer.ts';
import { Segment, segmentHeaderBytes } from './segment.ts';

const syncData = promisify(fdatasync);

export type LogLimits = {
  /** A segment older than this is dropped once no connected replica needs it. */
  readonly retentionMs: number;
  /** Over this the oldest segment is dropped, whoever needs it. */
  readonly bytesMax: number;
};

export type { LogCursor } from './recent-places.ts';

/** A record with the segment that holds it. */
export type LocatedRecord = { readonly record: LogRecord; readonly segment: Segment };

/**
 * The LTX files of one database on disk, in order: a redo log for a node that crashed, and what replicas catch up
 * from. One unbroken chain of positions from `base` to `tail`.
 */
export class Log {
  readonly #directory: string;
  readonly #limits: LogLimits;
  readonly #segmentBytesMax: number;
  #segments: Segment[];
  readonly #recent = new RecentPlaces();

  /** Opens what is there; a chain that is broken is kept from its break on. */
  constructor(directory: string, limits: LogLimits) {
    this.#directory = directory;
    this.#limits = limits;
    this.#segmentBytesMax = Math.max(1 << 16, Math.min(1 << 24, Math.floor(limits.bytesMax / 8)));
    mkdirSync(directory, { recursive: true });
    this.#segments = openSegments(directory);
  }

  /** False for a log that was never given a first position. */
  get isStarted(): boolean {
    return this.#segments.length > 0;
  }

  get base(): Position {
    return this.#segments[0]?.base ?? emptyPosition;
  }

  get tail(): Position {
    return this.#segments.at(-1)?.end ?? emptyPosition;
  }

  get lastRecord(): LogRecord | undefined {
    return this.#segments.at(-1)?.last ?? this.#segments.at(-2)?.last;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Drops everything and starts a new chain at a position. */
  reset(position: Position): void {
    // The new one first: a log never has no position, whatever the disk refuses.
    const segment = Segment.create(this.#directory, position, wallClockMs());
    const dropped = this.#segments;
    this.#segments = [segment];
    this.#recent.clear();
    for (const old of dropped) {
      if (old.path === segment.path) old.close();
      else old.delete();
    }
  }

  /** Begins a record after `tail`. One at a time; end it by `commit` or by its own `abort`. */
  begin(): RecordWriter {
    let segment = this.#segments.at(-1);
    assert(segment, 'a log is reset to a position before it is written');
    if (segment.bytes >= this.#segmentBytesMax && segment.last) {
      segment = Segment.create(this.#directory, segment.end, wallClockMs());
      this.#segments.push(segment);
    }
    return new RecordWriter(segment);
  }

  commit(
    writer: RecordWriter,
    header: LtxHeader,
    postApplyChecksum: Checksum,
  ): LocatedRecord & { bytes: Buffer | undefined } {
    const { tail } = this;
    assert(
      header.minTxid === tail.txid + 1 && checksumsAgree(header.preApplyChecksum, tail.checksum),
      `record ${formatTxid(header.minTxid)} does not follow ${formatTxid(tail.txid)}`,
    );
    const segment = this.#segments.at(-1);
    assert(segment, 'a commit to an empty log');
    const committed = writer.commit(header, postApplyChecksum);
    this.#recent.add({ position: this.tail, segment, offset: segment.bytes });
    return { ...committed, segment };
  }

  /**
   * The place right after `position`; undefined when no record here ends, and the log does not begin, exactly there, or
   * when a damaged record lies before it.
   */
  find(position: Position): LogCursor | undefined {
    if (positionsEqual(position, this.tail)) {
      const segment = this.#segments.at(-1);
      return segment && { position, segment, offset: segment.bytes };
    }
    const recent = this.#recent.find(position);
    if (recent) return recent;
    const segment = this.#segments.findLast((candidate) => candidate.base.txid <= position.txid);
    if (!segment) return undefined;
    if (positionsEqual(segment.base, position)) return { position, segment, offset: segmentHeaderBytes };
    for (const record of readable(segment.records(position.txid))) {
      if (record.header.maxTxid < position.txid) continue;
      if (!positionsEqual(positionAfter(record), position)) return undefined;
      return { position, segment, offset: record.offset + record.length };
    }
    return undefined;
  }

  /**
   * Whether the state here is at the position's TXID or beyond and does not come from the position, as far as the log knows:
   * the position is of no chain any more. One from before the log's beginning, and a place that cannot be read, are taken for
   * that: a log begins anew where a node gave up its own transactions, and whoever asked gets an error, and not a promise.
   */
  contradicts(position: Position): boolean {
    return position.txid <= this.tail.txid && this.find(position) === undefined;
  }

  /** The newest position in the log with this checksum. */
  findChecksum(checksum: Checksum): Position | undefined {
    for (const segment of this.#segments.toReversed()) {
      if (segment.end.checksum === checksum) return segment.end;
      let found: Position | undefined = segment.base.checksum === checksum ? segment.base : undefined;
      for (const record of readable(segment.records())) {
        if (record.postApplyChecksum === checksum) found = positionAfter(record);
      }
      if (found) return found;
    }
    return undefined;
  }

  /**
   * At most `max` positions of the log up to a TXID, newest first: dense near it, sparse before, with `base`. What is read for
   * them does not grow with the log.
   */
  recentPositions(max: number, upTo: Txid = this.tail.txid): Position[] {
    return samplePositions(this.#segments, upTo, max);
  }

  /** The record at the cursor and the cursor after it; undefined at the tail. Throws `LOG_CORRUPT`, also when the segment was dropped. */
  next(cursor: LogCursor): (LocatedRecord & { after: LogCursor }) | undefined {
    let { segment, offset } = cursor;
    const index = this.#segments.indexOf(segment);
    if (index < 0) throw new SkeinError('LOG_CORRUPT', 'The log no longer reaches back to this position.');
    if (offset >= segment.bytes) {
      const later = this.#segments[index + 1];
      if (!later) return undefined;
      segment = later;
      offset = segmentHeaderBytes;
      if (offset >= later.bytes) return undefined;
    }
    const record = segment.recordAt(offset);
    if (!record || !follows(record, cursor.position)) {
      throw new SkeinError('LOG_CORRUPT', `${segment.path} has a damaged record at byte ${offset}.`);
    }
    const after = { position: positionAfter(record), segment, offset: record.offset + record.length };
    return { record, segment, after };
  }

  /** Drops the records after a position that `find` finds. */
  truncateAfter(position: Position): void {
    this.#recent.clear();
    while (
      this.#segments.length > 1 &&
      this.#segments[this.#segments.length - 1].base.txid >= position.txid
    ) {
      this.#segments.pop()?.delete();
    }
    this.#segments.at(-1)?.truncateAfter(position);
    assert(
      positionsEqual(this.tail, position),
      `the log has no position ${formatTxid(position.txid)} to go back to`,
    );
  }

  /** Waits until the newest segment is on the disk itself. */
  async sync(): Promise<void> {
    const segment = this.#segments.at(-1);
    if (segment) await syncData(segment.fileDescriptor);
  }

  /**
   * Drops old segments, never the newest. `neededAfter` is the lowest TXID that a connected replica holds. Returns the
   * number dropped.
   */
  enforceLimits(neededAfter: Txid | undefined): number {
    let dropped = 0;
    const olderThanMs = wallClockMs() - this.#limits.retentionMs;
    while (this.#segments.length > 1) {
      const [oldest] = this.#segments;
      const expired =
        oldest.newestMs < olderThanMs && (neededAfter === undefined || oldest.end.txid <= neededAfter);
      if (!expired && this.bytes <= this.#limits.bytesMax) break;
      this.#segments.shift()?.delete();
      dropped += 1;
    }
    return dropped;
  }

  /** Gives the disk back all that it can, whoever needs it: the disk is full. */
  dropAllButNewest(): number {
    let dropped = 0;
    while (this.#segments.length > 1) {
      this.#segments.shift()?.delete();
      dropped += 1;
    }
    return dropped;
  }

  close(): void {
    for (const segment of this.#segments) segment.close();
    this.#segments = [];
  }
}

/** The records before the first damaged one. */
function* readable(records: Generator<LogRecord>): Generator<LogRecord> {
  try {
    yield* records;
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === 'LOG_CORRUPT')) throw error;
  }
}

/** All segments that form one chain up to the newest; the files of an older, broken part are removed. */
function openSegments(directory: string): Segment[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'));
  names.sort();
  let chain: Segment[] = [];
  for (const [index, name] of names.entries()) {
    const path = join(directory, name);
    try {
      const segment = Segment.open(path, index === names.length - 1);
      const previous = chain.at(-1);
      if (previous && !positionsEqual(previous.end, segment.base)) {
        for (const broken of chain) broken.delete();
        chain = [];
      }
      chain.push(segment);
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      rmSync(path);
      // A newest segment that a crash left without its header takes nothing with it.
      if (index === names.length - 1) break;
      for (const broken of chain) broken.delete();
      chain = [];
    }
  }
  return chain;
}
