import { BadMessage } from './bad-message.ts';

const headEnd = Buffer.from('\r\n\r\n');
const emptyLinesMax = 2;
const lf = 10;
const cr = 13;

/** Collects the bytes of one head after the other, however they are cut. */
export class HeadReader {
  readonly #bytesMax: number;
  readonly #isRequest: boolean;
  /** What came of a head that is not complete. */
  #kept: Buffer | undefined;
  #keptBytes = 0;
  #emptyLines = 0;
  #hasHalfLine = false;
  /** Where in the chunk last given to `read` the bytes after the head begin. */
  next = 0;

  constructor(bytesMax: number, isRequest: boolean) {
    this.#bytesMax = bytesMax;
    this.#isRequest = isRequest;
  }

  /** Whether a head has begun to come. */
  get hasBegun(): boolean {
    return this.#keptBytes > 0;
  }

  /**
   * The text of the head with the CRLF of its last line, without the empty one; undefined while it is not complete. Throws
   * `BadMessage`: 400, 414 and 431.
   */
  read(chunk: Buffer, from: number): string | undefined {
    const kept = this.#kept;
    if (kept && this.#keptBytes > 0) return this.#readOn(kept, chunk, from);
    const start = this.#isRequest ? this.#skipEmptyLines(chunk, from) : from;
    const end = chunk.indexOf(headEnd, start);
    if (end < 0) {
      this.#keep(chunk, start);
      this.next = chunk.length;
      return undefined;
    }
    if (end - start > this.#bytesMax) throw this.#tooLarge(chunk.subarray(start, end));
    this.#emptyLines = 0;
    this.next = end + 4;
    return chunk.toString('latin1', start, end + 2);
  }

  #readOn(kept: Buffer, chunk: Buffer, from: number): string | undefined {
    const before = this.#keptBytes;
    this.#keep(chunk, from);
    const end = kept.subarray(0, this.#keptBytes).indexOf(headEnd, Math.max(0, before - 3));
    if (end < 0) {
      this.next = chunk.length;
      return undefined;
    }
    this.#keptBytes = 0;
    this.#emptyLines = 0;
    this.next = from + end + 4 - before;
    return kept.toString('latin1', 0, end + 2);
  }

  /** Clients of old send an empty line after a body. */
  #skipEmptyLines(chunk: Buffer, from: number): number {
    let start = from;
    while (start < chunk.length) {
      if (this.#hasHalfLine) {
        if (chunk[start] !== lf) throw new BadMessage(400, 'What came is no HTTP.');
        this.#hasHalfLine = false;
        this.#emptyLines += 1;
      } else if (chunk[start] === cr && this.#emptyLines < emptyLinesMax) this.#hasHalfLine = true;
      else break;
      start += 1;
    }
    return start;
  }

  /** As much as a head may have; what is beyond it belongs to the body, if the end is found. */
  #keep(chunk: Buffer, from: number): void {
    this.#kept ??= Buffer.allocUnsafe(this.#bytesMax + 4);
    const kept = this.#kept;
    const before = this.#keptBytes;
    const taken = chunk.copy(kept, before, from);
    const end = before + taken;
    requireLines(kept, before, kept.subarray(0, end).indexOf(headEnd, Math.max(0, before - 3)), end);
    if (before === 0 && taken > 0 && (kept[0] < 33 || kept[0] > 126))
      throw new BadMessage(400, 'What came is no HTTP.');
    this.#keptBytes = end;
    if (end === kept.length && kept.indexOf(headEnd) < 0) throw this.#tooLarge(kept);
  }

  #tooLarge(bytes: Buffer): BadMessage {
    const isLine = this.#isRequest && bytes.indexOf('\r\n') < 0;
    return new BadMessage(isLine ? 414 : 431, `A head of more than ${this.#bytesMax} bytes.`);
  }
}

/** A head whose lines end with LF alone has no end that would be found: it is refused at once, not when the time is over. */
function requireLines(kept: Buffer, from: number, headEndAt: number, end: number): void {
  const until = headEndAt < 0 ? end : headEndAt;
  let at = kept.indexOf(lf, from);
  while (at >= 0 && at < until) {
    if (at > 0 && kept[at - 1] !== cr) throw new BadMessage(400, 'A line that ends with LF alone.');
    at = kept.indexOf(lf, at + 1);
  }
}
