import type { WriteStream } from 'node:tty';
import type { LogLine, ScreenSize } from './screen.ts';

const enterScreen = '\u001b[?1049h\u001b[?25l';
const leaveScreen = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearToLineEnd = '\u001b[K';
const clearBelow = '\u001b[J';

/** Standard output: a live screen in a terminal, plain lines elsewhere. */
export class Terminal {
  readonly #output: WriteStream;
  /** True where a screen can be redrawn in place. */
  readonly isLive: boolean;
  readonly #color: boolean;
  #onResize: (() => void) | undefined;

  constructor(output: WriteStream, environment: NodeJS.ProcessEnv) {
    this.#output = output;
    this.isLive = output.isTTY === true && environment.TERM !== 'dumb';
    this.#color = this.isLive && !environment.NO_COLOR;
    // The reader has gone (`npm start | head`): the nodes are still to be stopped.
    output.on('error', () => undefined);
  }

  get size(): ScreenSize {
    // Not the last column: to clear the rest of a line that fills it would clear its last character.
    const columns = Math.max(1, (this.#output.columns || 101) - 1);
    return { columns, rows: this.#output.rows || 30, color: this.#color };
  }

  print(...lines: string[]): void {
    for (const line of lines) this.#output.write(`${line}\n`);
  }

  printLog(lines: readonly LogLine[]): void {
    this.print(...lines.map(({ node, text }) => `  ${node} ${text}`));
  }

  /** Turns to the live screen; the lines printed before come back with `leave`. */
  enter(onResize: () => void): void {
    this.#output.write(enterScreen);
    this.#onResize = onResize;
    this.#output.on('resize', onResize);
    process.once('exit', this.#leaveAtExit);
  }

  /** Redraws all lines in place, without the flicker of a cleared screen. */
  draw(lines: readonly string[]): void {
    const text = lines.map((line) => line + clearToLineEnd).join('\r\n');
    this.#output.write(home + text + clearBelow);
  }

  leave(): void {
    if (!this.#onResize) return;
    this.#output.off('resize', this.#onResize);
    this.#onResize = undefined;
    process.off('exit', this.#leaveAtExit);
    this.#output.write(leaveScreen);
  }

  readonly #leaveAtExit = (): void => this.leave();
}
