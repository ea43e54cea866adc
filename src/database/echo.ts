import { SkeinError } from '../base/errors.ts';
import { LtxDecoder } from '../ltx/decoder.ts';
import { decodeHeader, ltxHeaderBytes } from '../ltx/header.ts';
import { checksumsAgree, formatPosition, type Position } from '../ltx/position.ts';
import type { ReplicaApply } from './replica-apply.ts';

/** Whether an LTX file that begins so ends where this node is: it has what this node sent to the primary. */
export function isEcho(beginning: Uint8Array, { txid }: Position): boolean {
  return beginning.length >= ltxHeaderBytes && decodeHeader(beginning).maxTxid === txid;
}

/**
 * Reads such a file, changes nothing, and calls `confirmed` at its end, or fails with `POSITION_MISMATCH` when it leads elsewhere.
 */
export function echoOf(position: Position, confirmed: () => void): ReplicaApply {
  const decoder = new LtxDecoder({ page: () => undefined });
  return {
    push: (chunk) => decoder.push(chunk),
    finish: () => {
      const { trailer } = decoder.end();
      if (checksumsAgree(trailer.postApplyChecksum, position.checksum)) {
        confirmed();
        return position;
      }
      throw new SkeinError(
        'POSITION_MISMATCH',
        `The primary has other transactions than this node at ${formatPosition(position)}.`,
      );
    },
    abort: () => undefined,
  };
}
