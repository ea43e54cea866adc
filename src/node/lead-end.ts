import type { DataDirectory } from '../database/data-directory.ts';
import type { RestingDatabase } from '../database/resting-database.ts';
import { type Position, positionsEqual } from '../ltx/position.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';

type End = { readonly position: Position; readonly files: DatabaseFiles; readonly hold: object | undefined };

/** Where each database was when a lead ended: all captured, with WRITE held since before that. */
export class LeadEnd {
  readonly #directory: Pick<DataDirectory, 'databaseNames'>;
  readonly #ends: ReadonlyMap<string, End>;

  /** To be made before anybody else has the resting databases. */
  constructor(directory: Pick<DataDirectory, 'databaseNames'>, resting: readonly RestingDatabase[]) {
    this.#directory = directory;
    this.#ends = new Map(
      resting.map(({ parts, position, files }) => [
        parts.name,
        { position, files, hold: files.holdOf('write') },
      ]),
    );
  }

  /**
   * Whether it is certain that no program has committed anything here since the databases were at these positions, up to now: that
   * is where they ended, WRITE has not been given free since by anybody, and there is no file that is none of them. What this
   * node applies as a replica meanwhile is another node's. False where it is not certain.
   */
  hasStayedAt(positions: ReadonlyMap<string, Position>): boolean {
    if (positions.size !== this.#ends.size) return false;
    for (const [name, { position, files, hold }] of this.#ends) {
      const before = positions.get(name);
      if (!before || !positionsEqual(before, position)) return false;
      if (hold === undefined || files.holdOf('write') !== hold || !files.isInPlace) return false;
    }
    return this.#directory.databaseNames().every((name) => this.#ends.has(name));
  }
}
