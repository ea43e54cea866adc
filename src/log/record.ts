import { crc32 } from 'node:zlib';
import type { LtxHeader } from '../ltx/header.ts';
import type { Checksum, Position, Txid } from '../ltx/position.ts';

/**
 * A record of a segment: 12 bytes (length of the LTX file, u64; CRC-32 of those 8 bytes, u32; both big-endian), then the
 * LTX file. The twelve bytes are written last, so a record that a crash cut short has none and ends the segment.
 */
export const recordHeadBytes = 12;

/** Where one LTX file lies in the log. */
export type LogRecord = {
  readonly header: LtxHeader;
  readonly postApplyChecksum: Checksum;
  /** Byte offset of the LTX file in its segment, and its length. */
  readonly offset: number;
  readonly length: number;
};

export function positionAfter(record: LogRecord): Position {
  return { txid: record.header.maxTxid, checksum: record.postApplyChecksum };
}

/** Whether the record's transactions follow the position directly. */
export function follows(record: LogRecord, position: Position): boolean {
  const next: Txid = record.header.minTxid;
  return next === position.txid + 1 && record.header.preApplyChecksum === position.checksum;
}

export function encodeRecordHead(length: number, into: Buffer): void {
  into.writeBigUInt64BE(BigInt(length), 0);
  into.writeUInt32BE(crc32(into.subarray(0, 8)), 8);
}

/** The LTX file's length; undefined for anything that is not a finished record. */
export function decodeRecordHead(bytes: Buffer): number | undefined {
  if (bytes.length < recordHeadBytes) return undefined;
  if (bytes.readUInt32BE(8) !== crc32(bytes.subarray(0, 8))) return undefined;
  const length = Number(bytes.readBigUInt64BE(0));
  return Number.isSafeInteger(length) && length > 0 ? length : undefined;
}
