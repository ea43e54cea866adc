import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';

/** What a key asks for; a number is the index of the node to choose. */
export type Command = 'kill' | 'bringBack' | 'handOff' | 'pause' | 'previous' | 'next' | 'stop' | number;

/** What Node.js says of a key that was pressed. */
interface KeyPress {
  name?: string | undefined;
  ctrl?: boolean;
  meta?: boolean;
}

const commands: Readonly<Record<string, Command>> = {
  k: 'kill',
  b: 'bringBack',
  h: 'handOff',
  p: 'pause',
  q: 'stop',
  up: 'previous',
  left: 'previous',
  down: 'next',
  right: 'next',
};

/** The line that tells the keys. */
export const keysLine = '1-3 choose  k kill -9  b bring back  h hand off to it  p pause/go on  q stop';

/** What the key asks for; undefined for one without a meaning here. */
export function commandOf({ name, ctrl, meta }: KeyPress): Command | undefined {
  if (name === undefined || meta) return undefined;
  if (ctrl) return name === 'c' ? 'stop' : undefined;
  if (/^[1-9]$/.test(name)) return Number(name) - 1;
  return Object.hasOwn(commands, name) ? commands[name] : undefined;
}

/** The keys of a terminal, one at a time and without an echo, between `listen` and `leave`. */
export class Keyboard {
  readonly #input: ReadStream;
  #onKeyPress: ((text: string | undefined, key: KeyPress) => void) | undefined;

  constructor(input: ReadStream) {
    this.#input = input;
    // A terminal that has gone away: the signal that tells of it stops everything.
    input.on('error', () => undefined);
  }

  /** False where standard input is no terminal: then there are no keys. */
  get isThere(): boolean {
    return this.#input.isTTY === true;
  }

  listen(onCommand: (command: Command) => void): void {
    if (!this.isThere || this.#onKeyPress) return;
    emitKeypressEvents(this.#input);
    this.#onKeyPress = (_text, key) => {
      const command = commandOf(key);
      if (command !== undefined) onCommand(command);
    };
    this.#input.on('keypress', this.#onKeyPress);
    this.#input.setRawMode(true);
    this.#input.resume();
  }

  /** The terminal is as it was, and input does not keep this program running. */
  leave(): void {
    if (!this.#onKeyPress) return;
    this.#input.off('keypress', this.#onKeyPress);
    this.#onKeyPress = undefined;
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
