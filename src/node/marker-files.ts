import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../base/errors.ts';

const primaryName = '.primary';
const lagName = '.lag';
/** LiteFS's value for a node that was never synced. */
const neverSyncedMs = 2_147_483_647;

/**
 * `.primary` and `.lag` in the database directory, LiteFS's formats: for programs that want to know without asking over
 * HTTP. Written under another name and renamed, so that a reader sees all or nothing.
 */
export class MarkerFiles {
  readonly #directory: string;
  readonly #hidden: string;
  #primary: string | undefined;
  /** What the files hold; undefined where there is none, or none that is known to be true. */
  #primaryWritten: string | undefined;
  #lagWritten: string | undefined;

  constructor(directory: string, hidden: string) {
    this.#directory = directory;
    this.#hidden = hidden;
    this.setPrimary(undefined);
  }

  /** The primary's node name while connected to it; undefined on the primary, and when disconnected. */
  setPrimary(node: string | undefined): void {
    this.#primary = node;
    if (node === undefined) rmSync(join(this.#directory, primaryName), { force: true });
    if (node === undefined) this.#primaryWritten = undefined;
    else this.#writePrimary(node);
  }

  /** How far this node is behind, ms; 0 on the primary; undefined when it was never in step. */
  setLag(lagMs: number | undefined): void {
    const text = lagText(lagMs);
    if (text !== this.#lagWritten) this.#lagWritten = this.#write(lagName, text) ? text : undefined;
    // What a full disk refused is written as soon as there is room.
    if (this.#primary !== undefined) this.#writePrimary(this.#primary);
  }

  delete(): void {
    rmSync(join(this.#directory, primaryName), { force: true });
    rmSync(join(this.#directory, lagName), { force: true });
  }

  #writePrimary(node: string): void {
    if (node === this.#primaryWritten) return;
    this.#primaryWritten = this.#write(primaryName, `${node}\n`) ? node : undefined;
  }

  /** False on a full disk: no file then, since the old one may say what is no longer true. */
  #write(name: string, text: string): boolean {
    const path = join(this.#directory, name);
    const temporary = join(this.#hidden, `marker${name}`);
    try {
      writeFileSync(temporary, text);
      renameSync(temporary, path);
      return true;
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOSPC') throw error;
      for (const file of [temporary, path]) rmSync(file, { force: true });
      return false;
    }
  }
}

/** A sign, nine digits or more, a newline. */
export function lagText(lagMs: number | undefined): string {
  const value = Math.min(neverSyncedMs, Math.max(0, Math.trunc(lagMs ?? neverSyncedMs)));
  return `+${String(value).padStart(9, '0')}\n`;
}
