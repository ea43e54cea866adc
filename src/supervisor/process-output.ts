import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { finished, type Writable } from 'node:stream';

/** How long the last lines may take: longer only while whoever reads them has stopped reading. */
const lastLinesMs = 3_000;
const colours = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

export type OutputPrinterOptions = {
  /** The names that are to come, for the width of the first column and the order of the colours. */
  readonly names: readonly string[];
  readonly stream: Writable;
  /** One colour for each name; for a terminal only. */
  readonly colour: boolean;
};

/** Prints one line; a promise when the stream is full, which settles when there is room again or nobody reads. */
export type OutputPrinter = (process: string, line: string) => void | Promise<void>;

/** A printer of `name | line`, with the names in one column. It holds no lines back: waiting is the caller's. */
export function createOutputPrinter(options: OutputPrinterOptions): OutputPrinter {
  const { names, stream, colour } = options;
  const width = Math.max(0, ...names.map((name) => name.length));
  let room: Promise<void> | undefined;
  // A reader that went away (`skein run | head`) is no reason to end the node or the app.
  stream.on('error', () => undefined);
  return (process, line) => {
    if (!stream.writable) return undefined;
    const prefix = `${process.padEnd(width)} |`;
    const code = colours[Math.max(0, names.indexOf(process)) % colours.length];
    // The reset at the end is for lines that set a colour of their own and were cut.
    const text = colour ? `\x1b[${code}m${prefix}\x1b[0m ${line}\x1b[0m\n` : `${prefix} ${line}\n`;
    if (stream.write(text)) return undefined;
    room ??= roomIn(stream).finally(() => {
      room = undefined;
    });
    return room;
  };
}

function roomIn(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const name of ['drain', 'close', 'error']) stream.off(name, done);
      resolve();
    };
    for (const name of ['drain', 'close', 'error']) stream.on(name, done);
  });
}

/**
 * The process's standard output, for the printer. On a pipe `process.stdout` writes synchronously, so that a reader
 * which rests would stop the node, with its replication and its lease; here such a write waits instead. Whoever
 * exits the process ends the stream first, by `endStandardOutput`.
 */
export function openStandardOutput(): Writable {
  const kind = fstatSync(1);
  if (!kind.isFIFO() && !kind.isSocket()) return process.stdout;
  return new Socket({ fd: 1, readable: false, writable: true });
}

/**
 * Ends what `openStandardOutput` gave. Resolves when its reader has all that was printed, is gone, or does not read on within three
 * seconds: a node that has stopped must end all the same. Never rejects.
 */
export async function endStandardOutput(stream: Writable): Promise<void> {
  if (stream === process.stdout) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, lastLinesMs);
  // Of a stream whose reader is gone there is no `finish` to come.
  finished(stream, { readable: false }, () => resolve());
  stream.end();
  await promise;
  clearTimeout(timer);
}
