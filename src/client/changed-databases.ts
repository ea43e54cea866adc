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
  readonly #beganMs: number;
  /** Where each was; undefined where there are too many to look at. */
  readonly #before: ReadonlyMap<string, number> | undefined;
  /** Those that were there before. */
  readonly names: readonly string[];

  /**
   * `lateSinceMs`, by the wall clock: the request began then, and something is written already, so that where the databases
   * were is not to be found out any more.
   */
  constructor(directory: string, positions: LocalPositions, lateSinceMs?: number) {
    this.#directory = directory;
    this.#positions = positions;
    this.#beganMs = lateSinceMs ?? Date.now();
    this.names = positions.names();
    if (this.names.length <= lookedAtMax)
      this.#before = lateSinceMs === undefined ? positions.txids() : new Map();
  }

  /** All that this request may have written to, but for those that it made: only the node knows of them. */
  candidates(): readonly string[] {
    const names = this.#positions.names();
    return this.#before ? names : names.filter((name) => this.#isWrittenSince(name));
  }

  /** Those of the positions, `TXID/checksum` by name, that are newer than the request. */
  since(positions: ReadonlyMap<string, string>): Map<string, number> {
    const changed = new Map<string, number>();
    for (const [name, text] of positions) {
      const txid = Number.parseInt(text, 16);
      const isChanged = this.#before
        ? txid > (this.#before.get(name) ?? 0)
        : !this.names.includes(name) || this.#isWrittenSince(name);
      if (isChanged) changed.set(name, txid);
    }
    return changed;
  }

  /** The log is gone where the last connection was closed: then the file has what was in it. */
  #isWrittenSince(name: string): boolean {
    return ['-wal', ''].some((suffix) => {
      const file = statSync(join(this.#directory, name + suffix), { throwIfNoEntry: false });
      return file !== undefined && file.mtimeMs >= this.#beganMs - clockTickMs;
    });
  }
}
