import { SkeinError } from '../base/errors.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { Position } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import type { DatabaseParts } from './database-parts.ts';

/**
 * A database between two roles: open, at a known position, with WRITE held, so that neither an app nor Skein changes it. CKPT
 * is held too, but for a primary that lost it to a program's checkpoint. Whoever takes it over owns the files and the parts.
 */
export type RestingDatabase = {
  readonly parts: DatabaseParts;
  readonly files: DatabaseFiles;
  readonly checksums: PageChecksums;
  /** TXID 0 when the log does not know the state. */
  readonly position: Position;
};

/** A program has removed the file, or put another in its place. */
export function notInPlace(name: string): SkeinError {
  return new SkeinError(
    'DATABASE_NOT_FOUND',
    `The file of ${name} was removed or replaced by a program on this node, which cannot lead without it. Start the node again: it gets the database from the primary.`,
  );
}
