import { closeSync, fstatSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SkeinError } from '../base/errors.ts';
import { LtxDecoder } from '../ltx/decoder.ts';
import { decodeHeader, ltxHeaderBytes } from '../ltx/header.ts';
import { checksum, formatTxid, type Position, type Txid, txid } from '../ltx/position.ts';
import { decodeTrailer, ltxTrailerBytes } from '../ltx/trailer.ts';
import { decodeRecordHead, follows, type LogRecord, positionAfter, recordHeadBytes } from './record.ts';

const magic = 'SKEINLOG';
const formatVersion = 1;
export const segmentHeaderBytes = 64;
const verifyChunkBytes = 1 << 18;
const markEveryBytes = 1 << 18;

/**
 * One file of the log: a 64-byte header with the position before the first record, then records, each following the
 * one before it. Only the newest segment of a log grows.
 */
export class Segment {
  readonly path: string;
  readonly base: Position;
  readonly #descriptor: number;
  #isClosed = false;
  /** Where records begin, every so often, and the TXID before them: to find a position without reading all heads. */
  readonly #marks: { readonly txid: Txid; readonly offset: number }[] = [];
  #end: Position;
  #last: LogRecord | undefined;
  #bytes: number;
  #createdMs: number;

  private constructor(path: string, file: number, base: Position, createdMs: number) {
    this.path = path;
    this.#descriptor = file;
    this.base = base;
    this.#end = base;
    this.#bytes = segmentHeaderBytes;
    this.#createdMs = createdMs;
  }

  static create(directory: string, base: Position, nowMs: number): Segment {
    const path = join(directory, `${formatTxid(base.txid)}.log`);
    const file = openSync(path, 'w+');
    const header = Buffer.alloc(segmentHeaderBytes);
    header.write(magic, 0, 'latin1');
    header.writeUInt32BE(formatVersion, 8);
    header.writeBigUInt64BE(BigInt(base.txid), 16);
    header.writeBigUInt64BE(base.checksum, 24);
    header.writeBigInt64BE(BigInt(Math.trunc(nowMs)), 32);
    header.writeUInt32BE(crc32(header.subarray(0, 60)), 60);
    try {
      writeSync(file, header, 0, header.length, 0);
    } catch (error) {
      closeSync(file);
      unlinkSync(path);
      throw error;
    }
    return new Segment(path, file, base, nowMs);
  }

  /**
   * Opens a segment and finds its end. With `repair`, every record is read and checked whole, and the file is cut
   * after the last good one. Throws `LOG_CORRUPT` when even the header does not hold.
   */
  static open(path: string, repair: boolean): Segment {
    const file = openSync(path, 'r+');
    const header = Buffer.alloc(segmentHeaderBytes);
    const read = readSync(file, header, 0, header.length, 0);
    const holds = read === header.length && header.readUInt32BE(60) === crc32(header.subarray(0, 60));
    if (!holds || header.toString('latin1', 0, 8) !== magic || header.readUInt32BE(8) !== formatVersion) {
      closeSync(file);
      throw new SkeinError(
        'LOG_CORRUPT',
        `${path} is not a segment of a Skein log; its history is left out.`,
      );
    }
    const base = {
      txid: txid(Number(header.readBigUInt64BE(16))),
      checksum: checksum(header.readBigUInt64BE(24)),
    };
    const segment = new Segment(path, file, base, Number(header.readBigInt64BE(32)));
    for (;;) {
      const record = segment.recordAt(segment.#bytes);
      if (!record || !follows(record, segment.#end)) break;
      if (repair && !segment.#isWhole(record)) break;
      segment.accept(record);
    }
    if (repair && fstatSync(file).size > segment.#bytes) ftruncateSync(file, segment.#bytes);
    return segment;
  }

  /** The position after the last record, or `base`. */
  get end(): Position {
    return this.#end;
  }

  get last(): LogRecord | undefined {
    return this.#last;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the newest record was made, ms since 1970; the segment's own age while it has none. */
  get newestMs(): number {
    return this.#last?.header.timestampMs ?? this.#createdMs;
  }

  /** The record whose head begins at `offset`; undefined at the end, and where the bytes are no record. */
  recordAt(offset: number): LogRecord | undefined {
    const head = Buffer.alloc(recordHeadBytes + ltxHeaderBytes);
    if (readSync(this.#file, head, 0, head.length, offset) < head.length) return undefined;
    const length = decodeRecordHead(head);
    if (length === undefined || length < ltxHeaderBytes + ltxTrailerBytes) return undefined;
    const start = offset + recordHeadBytes;
    const trailer = Buffer.alloc(ltxTrailerBytes);
    if (readSync(this.#file, trailer, 0, trailer.length, start + length - ltxTrailerBytes) < trailer.length)
      return undefined;
    try {
      const header = decodeHeader(head.subarray(recordHeadBytes));
      const { postApplyChecksum } = decodeTrailer(trailer);
      return { header, postApplyChecksum, offset: start, length };
    } catch {
      return undefined;
    }
  }

  /** The records that are in the segment now, in order; from somewhere before `txid` on, if that is given. */
  records(txid?: Txid): Generator<LogRecord> {
    const mark = txid === undefined ? -1 : this.#marks.findLastIndex((candidate) => candidate.txid < txid);
    return this.recordsFrom(mark + 1);
  }

  /** Places from which reading can begin: `base`, and one about every 256 KiB. */
  get placeCount(): number {
    return this.#marks.length + 1;
  }

  txidAt(place: number): Txid {
    return place === 0 ? this.base.txid : this.#marks[place - 1].txid;
  }

  /** The position at a place; undefined where the record after it is damaged. */
  positionAt(place: number): Position | undefined {
    if (place === 0) return this.base;
    const { txid: before, offset } = this.#marks[place - 1];
    const header = this.recordAt(offset)?.header;
    return header?.minTxid === before + 1 ? { txid: before, checksum: header.preApplyChecksum } : undefined;
  }

  /** The records from a place on, in order. */
  *recordsFrom(place: number): Generator<LogRecord> {
    let offset = place === 0 ? segmentHeaderBytes : this.#marks[place - 1].offset;
    while (offset < this.#bytes) {
      const record = this.recordAt(offset);
      if (!record)
        throw new SkeinError('LOG_CORRUPT', `${this.path} has a damaged record at byte ${offset}.`);
      yield record;
      offset = record.offset + record.length;
    }
  }

  read(into: Uint8Array, length: number, offset: number): void {
    if (readSync(this.#file, into, 0, length, offset) === length) return;
    throw new SkeinError('LOG_CORRUPT', `${this.path} ends inside a record.`);
  }

  /** Writes at an offset beyond the end; nothing counts until `accept`. */
  write(bytes: Uint8Array, offset: number): void {
    let written = 0;
    while (written < bytes.length) {
      written += writeSync(this.#file, bytes, written, bytes.length - written, offset + written);
    }
  }

  /** Takes a record that is written whole, head included, as the new last one. */
  accept(record: LogRecord): void {
    const { offset } = this.#marks.at(-1) ?? { offset: segmentHeaderBytes };
    if (this.#bytes - offset >= markEveryBytes)
      this.#marks.push({ txid: this.#end.txid, offset: this.#bytes });
    this.#last = record;
    this.#end = positionAfter(record);
    this.#bytes = record.offset + record.length;
  }

  /** Cuts the file off after the record that ends at `position`; all of it when that is `base`. */
  truncateAfter(position: Position): void {
    let last: LogRecord | undefined;
    for (const record of this.records()) {
      if (record.header.maxTxid > position.txid) break;
      last = record;
    }
    this.#last = last;
    this.#end = last ? positionAfter(last) : this.base;
    this.#bytes = last ? last.offset + last.length : segmentHeaderBytes;
    while ((this.#marks.at(-1)?.offset ?? 0) >= this.#bytes) this.#marks.pop();
    ftruncateSync(this.#file, this.#bytes);
  }

  /** Drops what an append that failed has left beyond the end. */
  discardTail(): void {
    ftruncateSync(this.#file, this.#bytes);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get fileDescriptor(): number {
    return this.#file;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#descriptor);
  }

  delete(): void {
    this.close();
    unlinkSync(this.path);
  }

  /** Throws `LOG_CORRUPT` once closed: the number may be another file's by then. */
  get #file(): number {
    if (!this.#isClosed) return this.#descriptor;
    throw new SkeinError('LOG_CORRUPT', `${this.path} was dropped from the log while it was in use.`);
  }

  #isWhole(record: LogRecord): boolean {
    const decoder = new LtxDecoder({ page: () => undefined });
    const chunk = Buffer.alloc(Math.min(verifyChunkBytes, record.length));
    try {
      for (let done = 0; done < record.length; ) {
        const length = Math.min(chunk.length, record.length - done);
        this.read(chunk, length, record.offset + done);
        decoder.push(chunk.subarray(0, length));
        done += length;
      }
      decoder.end();
      return true;
    } catch {
      return false;
    }
  }
}
