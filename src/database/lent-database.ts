import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CapturedBatch } from './capture.ts';

/** A replica's database that programs of this node may write, while the primary has halted its own. */
export type LentDatabase = {
  /** Aborts when it is wanted back: this node is to lead, or stops. */
  readonly recalled: AbortSignal;
  /**
   * Keeps programs from writing again, and captures what they wrote: the transactions, or `nothing`; `busy` when a writer did not
   * let go within `timeoutMs`, and it is lent on. Rejects with what `Capture.run` does; what is here is not known then.
   */
  takeBack(timeoutMs: number): Promise<CapturedBatch | 'nothing' | 'busy'>;
  /** While it `isClosing`, lets it be closed with what is not captured in it, for the next start to find. */
  readonly isClosing: () => boolean;
  abandon(): void;
};

/**
 * Marks in Skein's directory, by database: while one is there, what a program of this replica wrote may not be in the log yet, and
 * a start looks for it as on a primary.
 */
export class LentMarks {
  readonly #directory: string;

  constructor(hidden: string) {
    this.#directory = join(hidden, 'lent');
  }

  get areThere(): boolean {
    try {
      return readdirSync(this.#directory).length > 0;
    } catch {
      return false;
    }
  }

  add(name: string): void {
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(join(this.#directory, name), '');
  }

  remove(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
  }

  clear(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
