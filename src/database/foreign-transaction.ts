import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { Position } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { WalInjector } from '../sqlite/wal-injector.ts';
import { Applier } from './applier.ts';

/**
 * Writes the transactions of another node into a primary's database, as a program of this node would: the one case in which
 * Skein writes there. They are captured like any others afterwards, and after a crash in between by the next start. The caller
 * holds WRITE and CKPT, and has captured everything. Returns how many they are. Rejects with `LTX_INVALID`, `POSITION_MISMATCH`
 * or the system's error; nothing has changed then.
 */
export async function writeForeign(
  files: DatabaseFiles,
  checksums: PageChecksums,
  from: Position,
  chunks: AsyncIterable<Uint8Array>,
): Promise<number> {
  const applier = new Applier(files, checksums, new WalInjector(files), from, 'next');
  try {
    for await (const chunk of chunks) applier.push(chunk);
    const { header } = applier.prove();
    applier.publish();
    return header.maxTxid - header.minTxid + 1;
  } catch (error) {
    applier.abort();
    throw error;
  }
}
