import { assert } from '../base/assert.ts';
import { formatTxid, parseTxid, type Txid } from './position.ts';

/** The name of a file by the TXIDs that it holds: `<min>-<max>.ltx`, each as 16 hexadecimal digits. */
export function ltxFileName(minTxid: Txid, maxTxid: Txid): string {
  assert(minTxid >= 1 && minTxid <= maxTxid, 'an LTX file holds TXIDs in rising order, from 1');
  return `${formatTxid(minTxid)}-${formatTxid(maxTxid)}.ltx`;
}

/** The reverse of `ltxFileName`; undefined for any name that it cannot have made. */
export function parseLtxFileName(name: string): { minTxid: Txid; maxTxid: Txid } | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/.exec(name);
  if (!match) return undefined;
  const minTxid = parseTxid(match[1]);
  const maxTxid = parseTxid(match[2]);
  if (minTxid === undefined || maxTxid === undefined) return undefined;
  return minTxid >= 1 && minTxid <= maxTxid ? { minTxid, maxTxid } : undefined;
}
