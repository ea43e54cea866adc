import { writeSync } from 'node:fs';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { encodeWalIndexHeader, type WalIndexHeader, walIndexHeaderBytes } from '../sqlite/wal-index.ts';
import { waitForLock } from './lock-wait.ts';

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
  if (!(await waitForLock(files, 'write', timeoutMs, undefined, 'repair'))) return files.walIndex.header();
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
