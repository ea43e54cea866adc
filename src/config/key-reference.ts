import { dottedOf, flagOf, keyList, variableOf } from './schema.ts';

/** The table of docs/configuration.md between its markers, in Markdown; a test compares the two. */
export function keyReference(): string {
  const rows = keyList.map((key) => {
    const { path, fallback, allowed, about } = key;
    const names = [dottedOf(path), variableOf(path), `--${flagOf(path)}`].map((name) => `\`${name}\``);
    return `| ${[...names, fallback === '' ? 'none' : fallback, allowed, about].join(' | ')} |`;
  });
  return [
    '| key | variable | flag | default | allowed | meaning |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}
