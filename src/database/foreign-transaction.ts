import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { Position } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { WalInjector } from '../sqlite/wal-injector.ts';
import { Applier } from './applier.ts';

/**
 * Writes the transactions of another node into a primary's database, as a program of this node would: the one case in which
 * Skein writes there. They are captured like any others afterwards, and after a crash in between by the next start. The caller
 * holds WRITE and CKPT, and has captured everything; `requireHalted`, asked at the last moment, throws if that is over. Returns how
 * many they are. Rejects with `LTX_INVALID`, `POSITION_MISMATCH`, the system's error, or what `requireHalted` throws; nothing has
 * changed then.
 */
export async function writeForeign(
  files: DatabaseFiles,
  checksums: PageChecksums,
  from: Position,
  chunks: AsyncIterable<Uint8Array>,
  requireHalted: () => void,
): Promise<number> {
  const applier = new Applier(files, checksums, new WalInjector(files), from, 'next');
  try {
    for await (const chunk of chunks) applier.push(chunk);
    const { header } = applier.prove();
    requireHalted();
    applier.publish();
    return header.maxTxid - header.minTxid + 1;
  } catch (error) {
    applier.abort();
    throw error;
  }
}
