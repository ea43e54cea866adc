import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { Position } from '../ltx/position.ts';
import type { PageSource } from '../sqlite/page-source.ts';

/** One state of all pages. It holds until `release`: no checkpoint changes the database file meanwhile. */
export type PinnedPages = {
  readonly source: PageSource;
  readonly position: Position;
  /** Aborts when the node changes its role, and waits for the release. */
  readonly recalled: AbortSignal;
  release(): void;
};

/** The same with the checksum of every page in that state. */
export type PinnedState = PinnedPages & { readonly checksums: PageChecksums };
