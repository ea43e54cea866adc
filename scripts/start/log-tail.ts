import { closeSync, fstatSync, openSync, readSync, truncateSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const readBytesMax = 64 * 1024;
const fileBytesMax = 16 * 1024 * 1024;
const lineLengthMax = 500;

/** Reads what is added to a log file, line by line, and keeps the file from growing without bound. */
export class LogTail {
  readonly #path: string;
  #offset = 0;
  #partial = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** The complete lines added since the last call, clean of control characters; after a flood only the last. */
  read(): string[] {
    const lines = (this.#partial + this.#readAdded()).split('\n');
    this.#partial = (lines.pop() ?? '').slice(-lineLengthMax);
    return lines.map(cleanLine).filter((line) => line !== '');
  }

  #readAdded(): string {
    let file: number;
    try {
      file = openSync(this.#path, 'r');
    } catch {
      return '';
    }
    try {
      const { size } = fstatSync(file);
      if (size < this.#offset) this.#offset = 0;
      const from = Math.max(this.#offset, size - readBytesMax);
      const bytes = Buffer.alloc(size - from);
      const count = readSync(file, bytes, 0, bytes.length, from);
      this.#offset = from + count;
      if (size > fileBytesMax) {
        truncateSync(this.#path, 0);
        this.#offset = 0;
      }
      return bytes.toString('utf8', 0, count);
    } finally {
      closeSync(file);
    }
  }
}

/** The last lines of a log file, to show when its node has failed. */
export function lastLines(path: string, count: number): string[] {
  return new LogTail(path).read().slice(-count);
}

function cleanLine(line: string): string {
  const text = stripVTControlCharacters(line).slice(0, lineLengthMax);
  return text
    .replaceAll('\t', ' ')
    .replaceAll(/\p{Cc}/gu, '')
    .trimEnd();
}
