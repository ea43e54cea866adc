import { nowMs } from './history.ts';

const linesMax = 400;
const linesInMessages = 80;

/** What was done to a world, and when. */
export class Timeline {
  readonly #lines: string[] = [];
  readonly #beganMs = nowMs();

  add(what: string): void {
    const seconds = ((nowMs() - this.#beganMs) / 1_000).toFixed(2).padStart(7);
    const wall = new Date().toISOString().slice(11, 23);
    const line = `${seconds} s  ${wall}  ${what}`;
    this.#lines.push(line);
    if (process.env.SKEIN_TEST_FAULT_TRACE === '1') console.error(line);
    if (this.#lines.length > linesMax) this.#lines.splice(0, linesMax / 2);
  }

  /** The end of it, for the message of a failure. */
  text(): string {
    return this.#lines.slice(-linesInMessages).join('\n');
  }
}
