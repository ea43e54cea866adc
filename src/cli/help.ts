import { SkeinError } from '../base/errors.ts';
import { nearest } from '../config/nearest.ts';
import type { VerbEntry } from './verb.ts';
import { verbs } from './verbs.ts';

/** The verb that the words name, and how many of them do: "config check" takes two. Throws USAGE. */
export function findVerb(words: readonly string[]): { verb: VerbEntry; length: number } {
  const [first = ''] = words;
  for (const verb of verbs) {
    const parts = verb.name.split(' ');
    if (parts.every((part, index) => part === words[index])) return { verb, length: parts.length };
  }
  const twoWords = verbs.filter(({ name }) => name.startsWith(`${first} `));
  const word = twoWords.length > 0 ? words.slice(0, 2).join(' ') : first;
  const names =
    twoWords.length > 0 ? twoWords.map(({ name }) => name) : [...verbs.map(({ name }) => name), 'help'];
  const near = nearest(word, names) ?? twoWords[0]?.name;
  const advice = near === undefined ? '`skein help` lists them.' : `The nearest is \`skein ${near}\`.`;
  throw new SkeinError('USAGE', `There is no verb "${word}". ${advice}`);
}

/** The text of `skein help`, or with words, of `skein help VERB`. Throws USAGE for an unknown verb. */
export async function helpText(words: readonly string[]): Promise<string> {
  if (words.length > 0 && words[0] !== 'help') return (await findVerb(words).verb.load()).help;
  const width = Math.max(...verbs.map(({ name }) => name.length));
  return `Usage: skein VERB [FLAGS]

Runs an app in every region with its SQLite database inside it.

Verbs:
${verbs.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}
  ${'help'.padEnd(width)}  Show this, or with a verb, its flags

Configuration: skein.toml or fly.toml, variables, flags; see \`skein help run\` and docs/configuration.md.
`;
}
