import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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
  #lag: string | undefined;

  constructor(directory: string, hidden: string) {
    this.#directory = directory;
    this.#hidden = hidden;
    this.setPrimary(undefined);
  }

  /** The primary's node name while connected to it; undefined on the primary, and when disconnected. */
  setPrimary(node: string | undefined): void {
    if (node === undefined) rmSync(join(this.#directory, primaryName), { force: true });
    else if (node !== this.#primary) this.#write(primaryName, `${node}\n`);
    this.#primary = node;
  }

  /** How far this node is behind, ms; 0 on the primary; undefined when it was never in step. */
  setLag(lagMs: number | undefined): void {
    const text = lagText(lagMs);
    if (text !== this.#lag) this.#write(lagName, text);
    this.#lag = text;
  }

  delete(): void {
    rmSync(join(this.#directory, primaryName), { force: true });
    rmSync(join(this.#directory, lagName), { force: true });
  }

  #write(name: string, text: string): void {
    const temporary = join(this.#hidden, `marker${name}`);
    writeFileSync(temporary, text);
    renameSync(temporary, join(this.#directory, name));
  }
}

/** A sign, nine digits or more, a newline. */
export function lagText(lagMs: number | undefined): string {
  const value = Math.min(neverSyncedMs, Math.max(0, Math.trunc(lagMs ?? neverSyncedMs)));
  return `+${String(value).padStart(9, '0')}\n`;
}
