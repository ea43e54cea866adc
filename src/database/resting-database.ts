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
