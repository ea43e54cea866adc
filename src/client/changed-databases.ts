import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalPositions } from './local-positions.ts';

/** As many as a cookie can name, and cheap enough to look at in every request. */
const lookedAtMax = 16;
/** A file's time comes from a clock that ticks every few milliseconds. */
const clockTickMs = 20;

/** Tells, at the end of a request that may have written, which databases to wait for and which have gone on since it began. */
export class ChangedDatabases {
  readonly #directory: string;
  readonly #positions: LocalPositions;
  readonly #beganMs = Date.now();
  /** Where each was; undefined where there are too many to look at. */
  readonly #before: ReadonlyMap<string, number> | undefined;

  /** `isLate`: something is written already, so that where the databases were is not to be found out any more. */
  constructor(directory: string, positions: LocalPositions, isLate = false) {
    this.#directory = directory;
    this.#positions = positions;
    if (positions.names().length <= lookedAtMax) this.#before = isLate ? new Map() : positions.txids();
  }

  /** All that this request may have written to. */
  candidates(): readonly string[] {
    const names = this.#positions.names();
    return this.#before ? names : names.filter((name) => this.#isWrittenSince(name));
  }

  /** Those of the positions, `TXID/checksum` by name, that are newer than the request. */
  since(positions: ReadonlyMap<string, string>): Map<string, number> {
    const changed = new Map<string, number>();
    for (const [name, text] of positions) {
      const txid = Number.parseInt(text, 16);
      if (txid > (this.#before?.get(name) ?? 0)) changed.set(name, txid);
    }
    return changed;
  }

  #isWrittenSince(name: string): boolean {
    try {
      return statSync(join(this.#directory, `${name}-wal`)).mtimeMs >= this.#beganMs - clockTickMs;
    } catch {
      return false;
    }
  }
}
