import { writeSync } from 'node:fs';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { encodeWalIndexHeader, type WalIndexHeader, walIndexHeaderBytes } from '../sqlite/wal-index.ts';

const repairTimeoutMs = 2_000;

/**
 * Mends a wal-index header whose two copies stay different: its writer died between them. SQLite would recover by
 * reading the WAL anew, for which it needs CKPT, which Skein holds. The second copy is written first, so when it
 * is valid the commit was complete and is kept; else the first is still the state before. Undefined when WRITE
 * cannot be had: the writer lives, and finishes by itself. Whoever else holds WRITE here keeps it.
 */
export async function repairWalIndexHeader(
  files: DatabaseFiles,
  timeoutMs = repairTimeoutMs,
): Promise<WalIndexHeader | undefined> {
  const untilMs = monotonicMs() + timeoutMs;
  while (!files.tryLock('write', 1, 'repair')) {
    // Looked at each time: a writer that was only interrupted has mended it, and the lock would be in its next one's way.
    const settled = files.walIndex.header();
    if (settled || monotonicMs() >= untilMs) return settled;
    await sleep(1);
  }
  try {
    const settled = files.walIndex.header();
    if (settled) return settled;
    const { first, second } = files.walIndex.copies();
    const right = second ?? first;
    if (!right) return undefined;
    const copy = Buffer.from(new ArrayBuffer(walIndexHeaderBytes));
    encodeWalIndexHeader(right, copy, 0);
    writeSync(files.shm, copy, 0, copy.length, second ? 0 : walIndexHeaderBytes);
    return files.walIndex.header();
  } finally {
    files.unlock('write', 1, 'repair');
  }
}
