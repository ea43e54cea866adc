import { assert } from '../base/assert.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../log/log.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { Position } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import type { WalInjector } from '../sqlite/wal-injector.ts';
import { Applier } from './applier.ts';

const chunkBytes = 1 << 18;

export type RollForward = {
  readonly position: Position;
  /** Why it ended before the log did. */
  readonly problem: string | undefined;
};

/**
 * Applies what the log has after `from`, a position that the log knows and the database is at. The log is a redo log:
 * this is how a database gets back what a crash took from it. The caller holds WRITE.
 */
export function rollForward(
  log: Log,
  from: Position,
  files: DatabaseFiles,
  checksums: PageChecksums,
  injector: WalInjector,
): RollForward {
  let cursor = log.find(from);
  assert(cursor, 'a position that the log knows');
  let position = from;
  try {
    for (let next = log.next(cursor); next; next = log.next(cursor)) {
      const applier = new Applier(files, checksums, injector, position, 'next');
      try {
        const chunk = Buffer.alloc(Math.min(chunkBytes, next.record.length));
        for (let done = 0; done < next.record.length; ) {
          const length = Math.min(chunk.length, next.record.length - done);
          next.segment.read(chunk, length, next.record.offset + done);
          applier.push(chunk.subarray(0, length));
          done += length;
        }
        ({ position } = applier.prove());
        applier.publish();
      } catch (error) {
        applier.abort();
        throw error;
      }
      cursor = next.after;
    }
    return { position, problem: undefined };
  } catch (error) {
    return { position: cursor.position, problem: messageOf(error) };
  }
}
