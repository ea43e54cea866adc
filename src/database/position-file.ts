import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { formatPosition, type Position } from '../ltx/position.ts';

/**
 * `<db>-pos` beside the database: the position as 34 bytes, LiteFS's format. It is for programs to read; Skein itself
 * never trusts it.
 */
export class PositionFile {
  readonly #path: string;
  #file: number | undefined;

  constructor(databasePath: string) {
    this.#path = `${databasePath}-pos`;
  }

  /** Always the same length in one write, so that a reader sees the old position or the new one. */
  write(position: Position): void {
    this.#file ??= openSync(this.#path, 'w');
    writeSync(this.#file, `${formatPosition(position)}\n`, 0);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  delete(): void {
    this.close();
    rmSync(this.#path, { force: true });
  }
}
