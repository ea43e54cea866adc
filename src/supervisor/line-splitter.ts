import { assert } from '../base/assert.ts';

const newline = 0x0a;
const carriageReturn = 0x0d;

/**
 * Makes whole lines of text from chunks of bytes. A line longer than `lineBytesMax` comes in pieces, cut between
 * characters, so that memory stays bounded whatever a process prints. Bytes that are not UTF-8 become U+FFFD.
 */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(lineBytesMax = 16 * 1024) {
    assert(lineBytesMax >= 4, `lines of at most ${lineBytesMax} bytes cannot hold every character`);
    this.#lineBytesMax = lineBytesMax;
  }

  /** The lines that `chunk` completes. Keeps no reference to `chunk`. */
  push(chunk: Buffer): string[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(newline, start);
      start = this.#cutLong(bytes, start, end === -1 ? bytes.length : end, lines);
      if (end === -1) break;
      const textEnd = end > start && bytes[end - 1] === carriageReturn ? end - 1 : end;
      lines.push(bytes.toString('utf8', start, textEnd));
      start = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    return lines;
  }

  /** The last line, when it has no newline at its end. */
  end(): string[] {
    const last = this.#rest;
    this.#rest = Buffer.alloc(0);
    return last.length === 0 ? [] : [last.toString('utf8')];
  }

  /** Moves pieces of `bytes[start, end)` to `lines` while they are over the limit; returns where the rest begins. */
  #cutLong(bytes: Buffer, start: number, end: number, lines: string[]): number {
    let from = start;
    while (end - from > this.#lineBytesMax) {
      const to = characterStart(bytes, from + this.#lineBytesMax);
      lines.push(bytes.toString('utf8', from, to));
      from = to;
    }
    return from;
  }
}

/** The position of the first byte of the character at `position`; three steps back at most, as UTF-8 needs. */
function characterStart(bytes: Buffer, position: number): number {
  for (let at = position; at > position - 4; at--) {
    const byte = bytes[at];
    if (byte !== undefined && (byte & 0xc0) !== 0x80) return at;
  }
  return position;
}
