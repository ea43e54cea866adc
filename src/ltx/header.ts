import { assert } from '../base/assert.ts';
import { isPageSize, pageNumberMax } from '../sqlite/page-number.ts';
import { ltxInvalid } from './ltx-invalid.ts';
import { type Checksum, isChecksum, type Txid, txid } from './position.ts';

export type LtxHeader = {
  /** 0, or `noChecksumFlag`. */
  readonly flags: number;
  /** Bytes. */
  readonly pageSize: number;
  /** Size of the database in pages once the file is applied. */
  readonly commit: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  /** When the last transaction was captured, ms since 1970. */
  readonly timestampMs: number;
  /** Checksum of the database that the file applies to; `0n` in a snapshot. */
  readonly preApplyChecksum: Checksum;
  /** Where in the primary's WAL the pages came from, bytes; all four are 0 where that does not apply. */
  readonly walOffset: number;
  readonly walSize: number;
  readonly walSalt1: number;
  readonly walSalt2: number;
  readonly nodeId: bigint;
};

export const ltxHeaderBytes = 100;

/** The file carries no database checksums: the one before and the one after are zero. */
export const noChecksumFlag = 0x2;

const magic = 0x4c545831; // LTX1
const reservedStart = 80;

/** Whether the file holds a whole database rather than a change to one. */
export function isSnapshot(header: LtxHeader): boolean {
  return header.minTxid === 1;
}

/** Throws `LTX_INVALID` when a field, or fields together, break a rule of the format. */
export function validateHeader(header: LtxHeader): void {
  const problem = fieldProblem(header) ?? checksumProblem(header) ?? walProblem(header);
  if (problem !== undefined) throw ltxInvalid(problem);
}

/** The header as `ltxHeaderBytes` bytes. Throws `LTX_INVALID` like `validateHeader`. */
export function encodeHeader(header: LtxHeader): Uint8Array {
  validateHeader(header);
  const bytes = new Uint8Array(ltxHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint32(4, header.flags);
  view.setUint32(8, header.pageSize);
  view.setUint32(12, header.commit);
  view.setBigUint64(16, BigInt(header.minTxid));
  view.setBigUint64(24, BigInt(header.maxTxid));
  view.setBigInt64(32, BigInt(header.timestampMs));
  view.setBigUint64(40, header.preApplyChecksum);
  view.setBigInt64(48, BigInt(header.walOffset));
  view.setBigInt64(56, BigInt(header.walSize));
  view.setUint32(64, header.walSalt1);
  view.setUint32(68, header.walSalt2);
  view.setBigUint64(72, header.nodeId);
  return bytes;
}

/** The header in the first `ltxHeaderBytes` of `bytes`. Throws `LTX_INVALID` when they are not a valid one. */
export function decodeHeader(bytes: Uint8Array): LtxHeader {
  assert(bytes.length >= ltxHeaderBytes, 'a header needs all its bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, ltxHeaderBytes);
  if (view.getUint32(0) !== magic) throw ltxInvalid('it does not begin with LTX1');
  for (let i = reservedStart; i < ltxHeaderBytes; i++) {
    if (bytes[i] !== 0) throw ltxInvalid('a reserved byte of the header is set');
  }
  const preApplyChecksum = view.getBigUint64(40);
  if (!isChecksum(preApplyChecksum)) throw ltxInvalid('the pre-apply checksum lacks its first bit');
  const header: LtxHeader = {
    flags: view.getUint32(4),
    pageSize: view.getUint32(8),
    commit: view.getUint32(12),
    minTxid: txid(safeNumber(view.getBigUint64(16), 'the min TXID')),
    maxTxid: txid(safeNumber(view.getBigUint64(24), 'the max TXID')),
    timestampMs: safeNumber(view.getBigInt64(32), 'the timestamp'),
    preApplyChecksum,
    walOffset: safeNumber(view.getBigInt64(48), 'the WAL offset'),
    walSize: safeNumber(view.getBigInt64(56), 'the WAL size'),
    walSalt1: view.getUint32(64),
    walSalt2: view.getUint32(68),
    nodeId: view.getBigUint64(72),
  };
  validateHeader(header);
  return header;
}

function safeNumber(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw ltxInvalid(`${what} ${value} is beyond 2^53`);
  return number;
}

function fieldProblem(header: LtxHeader): string | undefined {
  if (header.flags !== 0 && header.flags !== noChecksumFlag) return `the flags ${header.flags} are not known`;
  if (!isPageSize(header.pageSize)) return `${header.pageSize} is not a page size`;
  if (!isUint32(header.commit) || header.commit > pageNumberMax) return `${header.commit} pages are too many`;
  if (header.minTxid === 0 || header.maxTxid === 0) return 'a TXID is zero';
  if (header.minTxid > header.maxTxid) return `TXIDs ${header.minTxid} to ${header.maxTxid} do not rise`;
  if (!Number.isSafeInteger(header.timestampMs)) return 'the timestamp is no integer';
  if (BigInt.asUintN(64, header.nodeId) !== header.nodeId) return 'the node id is beyond 64 bits';
  return undefined;
}

function checksumProblem(header: LtxHeader): string | undefined {
  const present = header.preApplyChecksum !== 0n;
  if (isSnapshot(header)) return present ? 'a snapshot has a pre-apply checksum' : undefined;
  if (header.flags === noChecksumFlag) return present ? 'a file without checksums has one' : undefined;
  return present ? undefined : 'the pre-apply checksum is missing';
}

function walProblem(header: LtxHeader): string | undefined {
  const { walOffset, walSize, walSalt1, walSalt2 } = header;
  if (!Number.isSafeInteger(walOffset) || walOffset < 0) return `${walOffset} is not a WAL offset`;
  if (!Number.isSafeInteger(walSize) || walSize < 0) return `${walSize} is not a WAL size`;
  if (!isUint32(walSalt1) || !isUint32(walSalt2)) return 'a WAL salt is beyond 32 bits';
  const needsOffset = walSize !== 0 || walSalt1 !== 0 || walSalt2 !== 0;
  return needsOffset && walOffset === 0 ? 'a WAL size or salt comes without a WAL offset' : undefined;
}

function isUint32(n: number): boolean {
  return n >>> 0 === n;
}
