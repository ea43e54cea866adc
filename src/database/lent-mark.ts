import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../base/errors.ts';
import { emptyPosition, formatPosition, type Position, parsePosition } from '../ltx/position.ts';

/**
 * Where a replica's database stood on the primary's chain when programs of this node began to write it, in a file of Skein's
 * directory. What comes after that is on no chain until the primary has shown that it has it: this node must not be taken for one
 * that has more. While the mark is there, a start looks for what is not in the log yet, as on a primary.
 */
export class LentMark {
  readonly #path: string;
  #position: Position | undefined;

  constructor(hidden: string, name: string) {
    this.#path = join(directoryOf(hidden), name);
    this.#position = read(this.#path);
  }

  /** Undefined without a mark; TXID 0 for one that says nothing. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** On the disk when it returns: what is written after it may be there too, after a power cut. */
  set(position: Position): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    const temporary = `${this.#path}.new`;
    withFile(temporary, 'w', (file) => {
      writeSync(file, formatPosition(position));
      fsyncSync(file);
    });
    renameSync(temporary, this.#path);
    for (const directory of [dirname(this.#path), dirname(dirname(this.#path))])
      withFile(directory, 'r', fsyncSync);
    this.#position = position;
  }

  clear(): void {
    if (!this.#position) return;
    rmSync(this.#path, { force: true });
    this.#position = undefined;
  }
}

/** The node leads, or has led since: all that is here is of its own chain. */
export function clearLentMarks(hidden: string): void {
  rmSync(directoryOf(hidden), { recursive: true, force: true });
}

function directoryOf(hidden: string): string {
  return join(hidden, 'lent');
}

function read(path: string): Position | undefined {
  try {
    return parsePosition(readFileSync(path, 'utf8')) ?? emptyPosition;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function withFile(path: string, flags: string, task: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    task(file);
  } finally {
    closeSync(file);
  }
}
