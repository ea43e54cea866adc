import { assert } from '../base/assert.ts';
import { LtxEncoder } from '../ltx/encoder.ts';
import type { LtxHeader } from '../ltx/header.ts';
import { type Checksum, checksum, checksumFlag, type Position, txid } from '../ltx/position.ts';
import { pageNumber } from '../sqlite/page-number.ts';
import type { LocatedRecord, Log, LogLimits } from './log.ts';

export const pageSize = 512;
export const wideLimits: LogLimits = { retentionMs: 3_600_000, bytesMax: 1 << 28 };

export function checksumFrom(n: number): Checksum {
  return checksum(checksumFlag | BigInt(n));
}

export function positionAt(n: number): Position {
  return { txid: txid(n), checksum: checksumFrom(n) };
}

export type RecordShape = {
  readonly commits?: number;
  readonly pages?: number;
  readonly timestampMs?: number;
  /** The byte that fills each page. */
  readonly fill?: number;
  /** The checksum after the record, `checksumFrom` its last TXID unless given. */
  readonly post?: Checksum;
};

function headerAfter(tail: Position, shape: RecordShape): LtxHeader {
  return {
    flags: 0,
    pageSize,
    commit: 100_000,
    minTxid: txid(tail.txid + 1),
    maxTxid: txid(tail.txid + (shape.commits ?? 1)),
    timestampMs: shape.timestampMs ?? Date.now(),
    preApplyChecksum: tail.checksum,
    walOffset: 0,
    walSize: 0,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: 0n,
  };
}

/** Appends a record. Returns it with its LTX file. */
export function append(log: Log, shape: RecordShape = {}): LocatedRecord & { file: Buffer } {
  const header = headerAfter(log.tail, shape);
  const post = shape.post ?? checksumFrom(header.maxTxid);
  const writer = log.begin();
  const chunks: Buffer[] = [];
  const encoder = new LtxEncoder(header, (chunk) => {
    chunks.push(Buffer.from(chunk));
    writer.write(chunk);
  });
  for (let page = 1; page <= (shape.pages ?? 1); page += 1) {
    encoder.writePage(pageNumber(page), Buffer.alloc(pageSize, shape.fill ?? header.maxTxid & 0xff));
  }
  encoder.finish(post);
  const { record, segment, bytes } = log.commit(writer, header, post);
  const file = Buffer.concat(chunks);
  if (bytes) assert(bytes.equals(file), 'a small record is handed on as it was written');
  return { record, segment, file };
}

export function readRecord({ record, segment }: LocatedRecord): Buffer {
  const bytes = Buffer.alloc(record.length);
  segment.read(bytes, bytes.length, record.offset);
  return bytes;
}

/** The TXIDs that records end with, from a position on. */
export function txidsAfter(log: Log, position: Position): number[] | undefined {
  let cursor = log.find(position);
  if (!cursor) return undefined;
  const txids: number[] = [];
  for (let next = log.next(cursor); next; next = log.next(cursor)) {
    txids.push(next.record.header.maxTxid);
    cursor = next.after;
  }
  return txids;
}
