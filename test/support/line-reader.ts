import type { Readable } from 'node:stream';

/** Calls `line` for each line of a stream, without its newline. A last line without one counts too. */
export function readLines(stream: Readable, line: (text: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const whole of lines) line(whole);
  });
  stream.on('end', () => {
    if (rest !== '') line(rest);
  });
}
