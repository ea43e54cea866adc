import { Transform } from 'node:stream';
import { monotonicMs } from '../base/clock.ts';

const firstShownMs = 1000;
const intervalMs = 200;

/** Counts the bytes that pass, and shows them on a terminal when the transfer takes longer than a second. */
export class Progress extends Transform {
  bytes = 0;
  readonly #what: string;
  readonly #total: number | undefined;
  readonly #terminal: NodeJS.WriteStream;
  readonly #startedMs = monotonicMs();
  #shownMs = 0;

  /** `total` in bytes, if known. */
  constructor(what: string, total: number | undefined, terminal: NodeJS.WriteStream = process.stderr) {
    super();
    this.#what = what;
    this.#total = total;
    this.#terminal = terminal;
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: null, chunk: Buffer) => void,
  ): void {
    this.bytes += chunk.length;
    const nowMs = monotonicMs();
    const isDue = nowMs - this.#startedMs > firstShownMs && nowMs - this.#shownMs > intervalMs;
    if (this.#terminal.isTTY === true && isDue) {
      this.#shownMs = nowMs;
      this.#terminal.write(`\r\u001b[K${this.#line((nowMs - this.#startedMs) / 1000)}`);
    }
    done(null, chunk);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#shownMs > 0) this.#terminal.write('\r\u001b[K');
    done(error);
  }

  #line(seconds: number): string {
    const all = this.#total === undefined ? '' : ` of ${sizeText(this.#total)}`;
    return `${this.#what}: ${sizeText(this.bytes)}${all}, ${sizeText(this.bytes / seconds)}/s`;
  }
}

/** A size for people: "12.3 MiB". */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = 'B';
  for (const larger of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break;
    value /= 1024;
    unit = larger;
  }
  return `${value.toFixed(1)} ${unit}`;
}
