import { setImmediate as nextTurn } from 'node:timers/promises';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { shmLock } from '../sqlite/byte-locks.ts';
import type { DatabaseFiles, LockUser } from '../sqlite/database-files.ts';

/** Under full write load WRITE is free for a few microseconds between commits, so first it is tried often. */
const eagerMs = 5;

/**
 * Takes a lock that an SQLite program may hold; false after `timeoutMs`. It asks again and again, since a wait inside
 * the kernel could not be cancelled.
 */
export async function waitForLock(
  files: DatabaseFiles,
  lock: keyof typeof shmLock,
  timeoutMs: number,
  signal?: AbortSignal,
  user?: LockUser,
): Promise<boolean> {
  const startedMs = monotonicMs();
  for (;;) {
    for (let attempt = 0; attempt < 8; attempt += 1) if (files.tryLock(lock, 1, user)) return true;
    const waitedMs = monotonicMs() - startedMs;
    if (waitedMs >= timeoutMs || signal?.aborted) return false;
    if (waitedMs < eagerMs) await nextTurn();
    else await sleep(1, signal);
  }
}
