import { assert } from '../base/assert.ts';
import { isDisabled } from '../base/failpoint.ts';

/**
 * Counts the commits of one database; 0 before the first. The format has 64 bits for it. A number holds 53, which
 * last 2,800 years at 100,000 commits per second, and cost no allocation.
 */
export type Txid = number & { readonly __brand: 'Txid' };

/** Bit 63 set, then 63 bits of CRC. `0n` says that there is nothing to check: no database yet, or checksums off. */
export type Checksum = bigint & { readonly __brand: 'Checksum' };

/** How many commits one database holds, and the checksum of all its pages after them. */
export type Position = { readonly txid: Txid; readonly checksum: Checksum };

export const checksumFlag = 1n << 63n;

export function txid(n: number): Txid {
  assert(Number.isSafeInteger(n) && n >= 0, 'a TXID is an integer from 0 to 2^53 - 1');
  return n as Txid;
}

export function checksum(big: bigint): Checksum {
  assert(isChecksum(big), 'a checksum is 0, or 64 bits of which the first is set');
  return big as Checksum;
}

export function isChecksum(big: bigint): big is Checksum {
  return big === 0n || (big >= checksumFlag && big < 1n << 64n);
}

/** A checksum from the halves of a CRC, each an integer of 32 bits of either sign; sets bit 63. */
export function checksumOf(high: number, low: number): Checksum {
  return ((BigInt((high | 0x80000000) >>> 0) << 32n) | BigInt(low >>> 0)) as Checksum;
}

/** The position of a database that does not exist yet. */
export const emptyPosition: Position = { txid: txid(0), checksum: checksum(0n) };

/** 16 lower-case hexadecimal digits. */
export function formatTxid(value: Txid): string {
  return value.toString(16).padStart(16, '0');
}

/** 16 lower-case hexadecimal digits. */
export function formatChecksum(value: Checksum): string {
  return value.toString(16).padStart(16, '0');
}

/** `<txid>/<checksum>`, each as 16 lower-case hexadecimal digits. */
export function formatPosition(position: Position): string {
  return `${formatTxid(position.txid)}/${formatChecksum(position.checksum)}`;
}

/** The TXID that 16 lower-case hexadecimal digits stand for; undefined for any other text. */
export function parseTxid(text: string): Txid | undefined {
  if (!/^[0-9a-f]{16}$/.test(text)) return undefined;
  const value = Number.parseInt(text, 16);
  return Number.isSafeInteger(value) ? txid(value) : undefined;
}

/** The reverse of `formatPosition`; undefined for any text that it cannot have made. */
export function parsePosition(text: string): Position | undefined {
  const match = /^([0-9a-f]{16})\/([0-9a-f]{16})$/.exec(text);
  if (!match) return undefined;
  const parsedTxid = parseTxid(match[1]);
  const parsedChecksum = BigInt(`0x${match[2]}`);
  if (parsedTxid === undefined || !isChecksum(parsedChecksum)) return undefined;
  return { txid: parsedTxid, checksum: parsedChecksum };
}

export function positionsEqual(a: Position, b: Position): boolean {
  return a.txid === b.txid && checksumsAgree(a.checksum, b.checksum);
}

/** Whether two nodes hold the same: every check that one is on the chain of the other goes through here. */
export function checksumsAgree(a: Checksum, b: Checksum): boolean {
  return a === b || isDisabled('chain-check');
}
