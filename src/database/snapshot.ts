import { TimeSlice } from '../base/time-slice.ts';
import { LtxEncoder } from '../ltx/encoder.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { type Checksum, checksum, type Position, txid } from '../ltx/position.ts';
import { pageNumber } from '../sqlite/page-number.ts';
import type { PageSource } from '../sqlite/page-source.ts';

export type SnapshotInput = {
  readonly source: PageSource;
  readonly position: Position;
  readonly nodeId: bigint;
  readonly timestampMs: number;
  /** Awaited now and then: whoever takes the chunks may ask for time. */
  readonly pace?: () => Promise<void>;
};

function headerOf(input: SnapshotInput, minTxid: number, preApplyChecksum: Checksum): LtxHeader {
  return {
    flags: 0,
    pageSize: input.source.pageSize,
    commit: input.source.commit,
    minTxid: txid(minTxid),
    maxTxid: input.position.txid,
    timestampMs: input.timestampMs,
    preApplyChecksum,
    walOffset: 0,
    walSize: 0,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: input.nodeId,
  };
}

/** Writes all pages as one LTX snapshot (min TXID 1). The chunks given to `write` are valid only during the call. */
export async function writeSnapshot(
  input: SnapshotInput,
  write: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const encoder = new LtxEncoder(headerOf(input, 1, checksum(0n)), write);
  await encodePages(encoder, input, () => true, signal);
}

/**
 * Writes only the pages that differ from `theirs`, as an LTX file of the one TXID of the position. It applies to a
 * database with exactly those pages, whatever its own TXID is.
 */
export async function writeChangedPages(
  input: SnapshotInput & { readonly checksums: PageChecksums },
  theirs: PageChecksums,
  write: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const { checksums } = input;
  const encoder = new LtxEncoder(headerOf(input, input.position.txid, theirs.checksum), write);
  const differs = (page: number) =>
    page > theirs.commit || !theirs.equalsAt(page, checksums.highAt(page), checksums.lowAt(page));
  await encodePages(encoder, input, differs, signal);
}

async function encodePages(
  encoder: LtxEncoder,
  { source, position, pace }: SnapshotInput,
  isWanted: (page: number) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const slice = new TimeSlice();
  for (let page = 1; page <= source.commit; page += 1) {
    if (page !== source.lockPage && isWanted(page)) encoder.writePage(pageNumber(page), source.page(page));
    if (page % 16 === 0 && slice.isOver) {
      await slice.yield();
      signal.throwIfAborted();
    }
    if (page % 64 === 0) await pace?.();
  }
  encoder.finish(position.checksum);
}
