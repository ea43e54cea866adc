import { assert } from '../base/assert.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { formatPosition, type Position, txid } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { PageSource } from '../sqlite/page-source.ts';
import type { WalIndexHeader } from '../sqlite/wal-index.ts';
import { WalInjector } from '../sqlite/wal-injector.ts';
import { type CaptureStart, endOf, placeAfter } from './capture.ts';
import { scanChecksums } from './checksum-scan.ts';
import type { DatabaseContext, DatabaseParts } from './database-parts.ts';
import { waitForLock } from './lock-wait.ts';
import { rollForward } from './roll-forward.ts';
import { repairWalIndexHeader } from './wal-index-repair.ts';

/** How long a start waits for WRITE, which some program may hold. */
const writeLockTimeoutMs = 10_000;

/** What a primary starts from: the checksums of all pages, and from which frame on the WAL is to be captured. */
export type ProvenState = {
  readonly checksums: PageChecksums;
  readonly start: CaptureStart;
  /** Whether all before `start` is in the database file. */
  readonly isRestartAllowed: boolean;
};

/**
 * Where the log's last checksum is the database's, the position is proven. Else, where the WAL still holds all that
 * came after the log, it is captured as if nothing had happened. Else the chain ends here and a new one begins. `after` is the
 * last TXID of one that had the name before.
 */
export async function proveState(
  context: DatabaseContext,
  parts: DatabaseParts,
  files: DatabaseFiles,
  after = 0,
): Promise<ProvenState> {
  const { index, moved, source } = await committedState(files);
  const checksums = await scanChecksums(source);
  const { log } = parts;
  const last = log.lastRecord;
  const now = endOf(index, checksums.commit);
  const startAt = (start: CaptureStart, isRestartAllowed: boolean) => ({
    checksums,
    start,
    isRestartAllowed,
  });
  if (log.isStarted && log.tail.checksum === checksums.checksum) return startAt(now, moved);
  const logged = last && placeAfter(last.header);
  if (logged && logged.salt1 === now.salt1 && logged.salt2 === now.salt2 && logged.frame < now.frame) {
    return startAt(logged, false);
  }
  if (await redo(context, parts, files, checksums)) return proveState(context, parts, files, after);
  const position = beginningOf(context, log, checksums, after);
  if (log.isStarted) {
    context.notice('the log does not lead to this state of the database; replicas will compare their pages', {
      database: parts.name,
      logEnd: formatPosition(log.tail),
      position: formatPosition(position),
    });
  }
  log.reset(position);
  return startAt(now, moved);
}

/**
 * Where a new chain begins: above all that a database of this name can have had, here or on a node that is away and has the old
 * one still. A TXID that is not below another's must mean that nothing of that is missing.
 */
export function beginningOf(
  context: DatabaseContext,
  log: DatabaseParts['log'],
  checksums: PageChecksums,
  after = 0,
): Position {
  return {
    txid: txid(Math.max(log.tail.txid, context.chainBase(), after) + 1),
    checksum: checksums.checksum,
  };
}

/**
 * After a crash of the machine: puts back the transactions that the log has and the database lost. True when the log
 * and the database are to be compared once more; the log ends at the database's state then.
 */
async function redo(
  context: DatabaseContext,
  { name, log }: DatabaseParts,
  files: DatabaseFiles,
  checksums: PageChecksums,
): Promise<boolean> {
  const from = context.rollForward && log.isStarted ? log.findChecksum(checksums.checksum) : undefined;
  if (!from || !(await waitForLock(files, 'write', writeLockTimeoutMs))) return false;
  try {
    const injector = new WalInjector(files);
    const { position, problem } = rollForward(log, from, files, checksums, injector);
    context.warn('the machine went down: transactions were put back from the log', {
      database: name,
      from: formatPosition(from),
      to: formatPosition(position),
      problem,
    });
    if (problem !== undefined) log.truncateAfter(position);
    return true;
  } finally {
    files.unlock('write');
  }
}

/** The wal-index header once nobody is writing it; one that stays half-written is repaired. */
export async function settledIndex(files: DatabaseFiles): Promise<WalIndexHeader> {
  const index = files.walIndex.header() ?? (await repairWalIndexHeader(files));
  assert(index, `the wal-index of ${files.path} has no valid header`);
  return index;
}

export type CommittedState = {
  readonly index: WalIndexHeader;
  /** Whether all of it is in the database file. The next writer may restart the WAL then, at any moment. */
  readonly moved: boolean;
  /** Reads no frame that may be overwritten. */
  readonly source: PageSource;
};

/** What is committed now. The caller holds CKPT. */
export async function committedState(files: DatabaseFiles): Promise<CommittedState> {
  for (;;) {
    const index = await settledIndex(files);
    const moved = files.walIndex.backfilled() === index.maxFrame;
    const after = await settledIndex(files);
    // A restart between the two reads: it happens once, since only a checkpoint makes the next one possible.
    if (after.salt1 !== index.salt1 || after.salt2 !== index.salt2) continue;
    return { index, moved, source: new PageSource(files, moved ? { ...index, maxFrame: 0 } : index) };
  }
}
