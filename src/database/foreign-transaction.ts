import { failpoint } from '../base/failpoint.ts';
import type { Log } from '../log/log.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { positionsEqual } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { WalInjector } from '../sqlite/wal-injector.ts';
import { Applier } from './applier.ts';
import type { CapturedBatch } from './capture.ts';

/**
 * Writes the transactions of another node into a primary's database, as its next ones: the one case in which Skein writes
 * there. The caller holds WRITE and CKPT, and has captured everything. Rejects with `LTX_INVALID`, `POSITION_MISMATCH` or the
 * system's error; nothing has changed then. A crash after the log has them leaves a database without them, which a start finds.
 */
export async function applyForeign(
  files: DatabaseFiles,
  checksums: PageChecksums,
  log: Log,
  chunks: AsyncIterable<Uint8Array>,
): Promise<CapturedBatch> {
  const from = log.tail;
  const applier = new Applier(files, checksums, new WalInjector(files), from, 'next');
  const writer = log.begin();
  try {
    for await (const chunk of chunks) {
      writer.write(chunk);
      applier.push(chunk);
    }
    const { header, position } = applier.prove();
    // The log first, as on a replica.
    const located = log.commit(writer, header, position.checksum);
    failpoint('apply:logged');
    applier.publish();
    return { ...located, commits: header.maxTxid - header.minTxid + 1 };
  } catch (error) {
    applier.abort();
    writer.abort();
    if (!positionsEqual(log.tail, from)) log.truncateAfter(from);
    throw error;
  }
}
