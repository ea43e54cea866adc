import { stripVTControlCharacters, styleText } from 'node:util';

/** Rows under a heading, in columns as wide as their widest cell, for standard output. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => visibleLength(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - visibleLength(cell)))
      .join('  ')
      .trimEnd();
  const heading = styleText('dim', line(headings), { stream: process.stdout });
  return [heading, ...rows.map(line)].map((text) => `${text}\n`).join('');
}

/** Text from elsewhere, made safe for a terminal: control characters are taken out. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}
