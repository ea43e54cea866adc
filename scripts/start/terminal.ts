import type { ReadStream, WriteStream } from 'node:tty';
import { type Command, Keyboard } from './keys.ts';
import type { LogLine, ScreenSize } from './screen.ts';

const enterScreen = '\u001b[?1049h\u001b[?25l';
const leaveScreen = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearToLineEnd = '\u001b[K';
const clearBelow = '\u001b[J';

/** Standard output and input: a live screen with keys in a terminal, plain lines elsewhere. */
export class Terminal {
  readonly #output: WriteStream;
  readonly #keyboard: Keyboard;
  /** True where a screen can be redrawn in place. */
  readonly isLive: boolean;
  readonly #color: boolean;
  #onResize: (() => void) | undefined;

  constructor(input: ReadStream, output: WriteStream, environment: NodeJS.ProcessEnv) {
    this.#keyboard = new Keyboard(input);
    this.#output = output;
    this.isLive = output.isTTY === true && environment.TERM !== 'dumb';
    this.#color = this.isLive && !environment.NO_COLOR;
    // The reader has gone (`npm start | head`): the nodes are still to be stopped.
    output.on('error', () => undefined);
  }

  /** Whether keys can be pressed on the live screen. */
  get hasKeys(): boolean {
    return this.isLive && this.#keyboard.isThere;
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
  enter(onResize: () => void, onCommand: (command: Command) => void): void {
    this.#output.write(enterScreen);
    this.#onResize = onResize;
    this.#output.on('resize', onResize);
    // Before the keys: whatever ends this program gives the terminal back as it was.
    process.once('exit', this.#leaveAtExit);
    this.#keyboard.listen(onCommand);
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
    this.#keyboard.leave();
    this.#output.write(leaveScreen);
  }

  readonly #leaveAtExit = (): void => this.leave();
}
