import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import { monotonicMs } from '../base/clock.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Log } from '../log/log.ts';
import type { Checkpointer } from '../sqlite/checkpointer.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { waitForLock } from './lock-wait.ts';

const syncData = promisify(fdatasync);

/** A transaction open longer than this makes the recycle wait for another time. */
const writeLockTimeoutMs = 250;
/** A program that checkpoints by itself may hold CKPT while it waits for WRITE, which is held here. */
const checkpointLockTimeoutMs = 250;

export type RecycleOutcome =
  /** Writers waited for `pauseMs`. */
  | { readonly kind: 'moved'; readonly pauseMs: number }
  | { readonly kind: 'held-up' | 'failed'; readonly reason: string; readonly pauseMs: number };

export type RecycleParts = {
  readonly files: DatabaseFiles;
  readonly log: Log;
  readonly checkpointer: Checkpointer;
  /** Runs a task while nothing else captures. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  capture(): Promise<number>;
  /** All frames are captured and in the database file, and nobody can have written since. */
  complete(): void;
};

/**
 * Makes room for a fresh WAL: takes WRITE, captures the rest, lets SQLite checkpoint, gives WRITE back. The next
 * writer then restarts the WAL by SQLite's own code.
 *
 * CKPT is free for the length of SQLite's checkpoint, but WRITE is not, so no frame can come that was not captured. A
 * crash at any step leaves a WAL, a database file and a log that `PrimaryDatabase.open` puts together again.
 */
export async function recycleWal(parts: RecycleParts): Promise<RecycleOutcome> {
  const { files } = parts;
  // What is on the disk already need not be waited for under the lock.
  await Promise.all([parts.log.sync(), syncData(files.wal)]);
  return parts.exclusively(async () => {
    await parts.capture();
    if (!(await waitForLock(files, 'write', writeLockTimeoutMs))) {
      return { kind: 'held-up', reason: 'a program holds a write transaction open', pauseMs: 0 };
    }
    const pausedAtMs = monotonicMs();
    let outcome: RecycleOutcome;
    try {
      outcome = await moveFrames(parts);
    } finally {
      files.unlock('write');
    }
    // Without WRITE again: a checkpoint that a program began meanwhile can end, and CKPT comes back.
    if (outcome.kind === 'failed') await waitForLock(files, 'checkpoint', Number.POSITIVE_INFINITY);
    return { ...outcome, pauseMs: monotonicMs() - pausedAtMs };
  });
}

/** With WRITE held. Returns 'failed' only when CKPT could not be had back. */
async function moveFrames(parts: RecycleParts): Promise<RecycleOutcome> {
  const { files } = parts;
  failpoint('recycle:locked');
  await parts.capture();
  failpoint('recycle:captured');
  files.unlock('checkpoint');
  let problem: string | undefined;
  try {
    await parts.checkpointer.checkpoint(files.path);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  failpoint('recycle:moved');
  if (!(await waitForLock(files, 'checkpoint', checkpointLockTimeoutMs))) {
    return { kind: 'failed', reason: 'a program began a checkpoint of its own', pauseMs: 0 };
  }
  if (problem !== undefined) return { kind: 'held-up', reason: problem, pauseMs: 0 };
  // Whoever moved them, a program's checkpoint or ours: no frame has come since the capture.
  const index = files.walIndex.header();
  if (!index || files.walIndex.backfilled() !== index.maxFrame) {
    return { kind: 'held-up', reason: 'a reader holds an old snapshot', pauseMs: 0 };
  }
  parts.complete();
  failpoint('recycle:complete');
  return { kind: 'moved', pauseMs: 0 };
}
