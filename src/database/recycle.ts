import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import { monotonicMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Log } from '../log/log.ts';
import type { Checkpointer } from '../sqlite/checkpointer.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { waitForLock } from './lock-wait.ts';

const syncData = promisify(fdatasync);

/** A transaction open longer than this makes the recycle wait for another time. */
const writeLockTimeoutMs = 250;
/** A program that checkpoints by itself may hold CKPT while it waits for a lock that is held here. */
const checkpointLockTimeoutMs = 250;
/** How often frames are moved beside the writers before the rest is moved while they wait. */
const roundsBesideMax = 3;
/** As few frames as this are moved within some milliseconds. */
const fewFrames = 1_000;

export type RecycleOutcome =
  /** All frames are in the database file. Writers waited for `pauseMs`. */
  | { readonly kind: 'moved'; readonly pauseMs: number }
  /** Some could not be moved, or CKPT was lost for a while. */
  | { readonly kind: 'held-up' | 'failed'; readonly reason: string; readonly pauseMs: number };

export type RecycleParts = {
  readonly files: DatabaseFiles;
  readonly log: Log;
  readonly checkpointer: Checkpointer;
  /** The database is being closed. */
  readonly signal: AbortSignal;
  /** Runs a task while nothing else captures. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  capture(): Promise<number>;
  /** The frame up to which the WAL is captured. */
  capturedFrame(): number;
  /** CKPT is about to be free: a restart that is seen before `judgeRestart` may have lost frames. */
  forbidRestart(): void;
  /** CKPT is held again: from what the wal-index says now, whether the next writer may restart the WAL. */
  judgeRestart(): void;
};

const readerHoldsUp = { kind: 'held-up', reason: 'a reader holds an old snapshot', pauseMs: 0 } as const;

/**
 * Makes room for a fresh WAL: has SQLite move all captured frames into the database file. The next writer then
 * restarts the WAL by SQLite's own code. First beside the writers, then, for the few frames that came meanwhile, while
 * they wait. A crash at any step leaves files and a log that `PrimaryDatabase.open` puts together again.
 */
export async function recycleWal(parts: RecycleParts): Promise<RecycleOutcome> {
  const { files } = parts;
  // What is on the disk already need not be waited for under a lock.
  await Promise.all([parts.log.sync(), syncData(files.wal)]);
  for (let round = 1; ; round += 1) {
    const outcome = await moveBeside(parts);
    if (outcome) return outcome;
    if (parts.signal.aborted) return { kind: 'held-up', reason: 'the database is being closed', pauseMs: 0 };
    const left = parts.capturedFrame() - files.walIndex.backfilled();
    if (left === 0) return { kind: 'moved', pauseMs: 0 };
    if (left <= fewFrames || round === roundsBesideMax) return moveUnderWrite(parts);
  }
}

/**
 * Has SQLite checkpoint while writers write. CKPT is free meanwhile; what keeps the WAL from being restarted, so that
 * no frame can vanish before its capture, is a read transaction of Skein's own connection: a restart needs READ1 to
 * READ4 exclusively. Undefined when it went well.
 */
async function moveBeside(parts: RecycleParts): Promise<RecycleOutcome | undefined> {
  const { files } = parts;
  const mark = await parts.exclusively(async () => {
    await parts.capture();
    // With frames left to move, a reader gets one of READ1 to READ4, and not READ0, which restrains nobody.
    if (parts.signal.aborted || files.walIndex.backfilled() >= parts.capturedFrame()) return undefined;
    beginRead(files);
    const frame = parts.capturedFrame();
    parts.forbidRestart();
    files.unlock('checkpoint');
    return frame;
  });
  if (mark === undefined) return undefined;
  failpoint('recycle:beside-begun');
  const problem = await checkpoint(parts);
  failpoint('recycle:beside-moved');
  const isHeld = await waitForLock(files, 'checkpoint', checkpointLockTimeoutMs);
  try {
    // Frames that came before the read transaction may have been moved uncaptured, and a checkpoint of the app's own may
    // wait for its end: nothing that is committed stays uncaptured when it does end.
    await parts.exclusively(parts.capture);
    if (isHeld) parts.judgeRestart();
  } catch (error) {
    if (isHeld) throw error;
    // What could not be captured now is captured later, or found missing by the salts.
  } finally {
    // Whatever happened: an open read transaction would keep the WAL from ever starting over.
    files.connection.exec('COMMIT');
  }
  failpoint('recycle:beside-over');
  if (!isHeld) return regain(parts);
  if (problem !== undefined) return { kind: 'held-up', reason: problem, pauseMs: 0 };
  return files.walIndex.backfilled() < mark ? readerHoldsUp : undefined;
}

/** Takes WRITE, captures the rest, lets SQLite checkpoint it, gives WRITE back. */
async function moveUnderWrite(parts: RecycleParts): Promise<RecycleOutcome> {
  const { files } = parts;
  const outcome = await parts.exclusively(async (): Promise<RecycleOutcome> => {
    await parts.capture();
    const isHeld =
      !parts.signal.aborted && (await waitForLock(files, 'write', writeLockTimeoutMs, undefined, 'recycle'));
    if (!isHeld) return { kind: 'held-up', reason: 'a program holds a write transaction open', pauseMs: 0 };
    const pausedAtMs = monotonicMs();
    try {
      const outcome = await moveRest(parts);
      return { ...outcome, pauseMs: monotonicMs() - pausedAtMs };
    } finally {
      files.unlock('write', 1, 'recycle');
    }
  });
  return files.holds('checkpoint') ? outcome : regain(parts);
}

/** With WRITE held: no frame can come that was not captured. */
async function moveRest(parts: RecycleParts): Promise<RecycleOutcome> {
  const { files } = parts;
  failpoint('recycle:locked');
  await parts.capture();
  failpoint('recycle:captured');
  parts.forbidRestart();
  files.unlock('checkpoint');
  const problem = await checkpoint(parts);
  failpoint('recycle:moved');
  if (!(await waitForLock(files, 'checkpoint', checkpointLockTimeoutMs))) return readerHoldsUp;
  parts.judgeRestart();
  failpoint('recycle:complete');
  if (problem !== undefined) return { kind: 'held-up', reason: problem, pauseMs: 0 };
  // Whoever moved them, a program's checkpoint or ours: no frame has come since the capture.
  return files.walIndex.backfilled() === parts.capturedFrame()
    ? { kind: 'moved', pauseMs: 0 }
    : readerHoldsUp;
}

/**
 * Waits until CKPT comes back from a program that checkpoints by itself. Captures go on; where its checkpoint restarted
 * the WAL before they saw all, the salts show it, and all pages are compared once CKPT is held again.
 */
async function regain(parts: RecycleParts): Promise<RecycleOutcome> {
  const startedMs = monotonicMs();
  await waitForLock(parts.files, 'checkpoint', Number.POSITIVE_INFINITY, parts.signal);
  parts.judgeRestart();
  const waitedMs = Math.round(monotonicMs() - startedMs);
  return { kind: 'failed', reason: `a program ran a checkpoint of its own for ${waitedMs} ms`, pauseMs: 0 };
}

/** Takes a read lock on the WAL for the connection. Throws SQLite's error, and holds nothing then. */
function beginRead({ connection }: DatabaseFiles): void {
  connection.exec('BEGIN');
  try {
    connection.exec('SELECT count(*) FROM sqlite_schema');
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

/** Returns what went wrong, if anything did. */
async function checkpoint({ checkpointer, files }: RecycleParts): Promise<string | undefined> {
  try {
    await checkpointer.checkpoint(files.path);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
