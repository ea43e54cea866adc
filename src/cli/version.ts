import { readFileSync } from 'node:fs';
import { SkeinError } from '../base/errors.ts';
import { parseFlags } from '../config/flags.ts';
import type { Verb, VerbInput } from './verb.ts';

async function showVersion({ argv }: VerbInput): Promise<number> {
  const { values, positionals } = parseFlags(argv, ['json']);
  if (positionals[0] !== undefined) {
    throw new SkeinError('USAGE', `Unexpected argument "${positionals[0]}". Leave it out.`);
  }
  const found = {
    skein: skeinVersion(),
    node: process.versions.node,
    sqlite: process.versions.sqlite ?? 'none',
  };
  process.stdout.write(
    values.has('json')
      ? `${JSON.stringify(found)}\n`
      : `skein ${found.skein} (Node.js ${found.node}, SQLite ${found.sqlite})\n`,
  );
  return 0;
}

function skeinVersion(): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return version;
}

export const version: Verb = {
  help: `Usage: skein version [--json]

Shows the versions of Skein, of the Node.js that runs it, and of the SQLite in that.
`,
  run: showVersion,
};
