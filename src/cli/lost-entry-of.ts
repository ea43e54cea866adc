import { SkeinError } from '../base/errors.ts';
import { loadConfig } from '../config/load-config.ts';
import { hiddenDirectoryOf } from '../database/hidden-directory.ts';
import { type FoundEntry, findLost } from '../database/lost-entries.ts';
import type { VerbFlags } from './config-flags.ts';
import type { VerbInput } from './verb.ts';

/** The directory of the configured node's databases. The node need not run. */
export function databaseDirectory({ env, cwd }: VerbInput, { configArgv }: VerbFlags): string {
  return loadConfig({ argv: configArgv, env, cwd }).database.dir;
}

/** The entry that the first argument names, and what comes after it. Throws USAGE and LOST_NOT_FOUND. */
export function entryOf(
  input: VerbInput,
  flags: VerbFlags,
  usage: string,
  argumentsMax: number,
): { found: FoundEntry; directory: string; rest: readonly string[] } {
  const [id, ...rest] = [...flags.positionals, ...(flags.command ?? [])];
  if (id === undefined || id === '') {
    throw new SkeinError('USAGE', `Which entry? ${usage}; \`skein lost list\` names them.`);
  }
  const extra = rest[argumentsMax - 1];
  if (extra !== undefined) throw new SkeinError('USAGE', `Unexpected argument "${extra}". ${usage}`);
  const directory = databaseDirectory(input, flags);
  return { found: findLost(hiddenDirectoryOf(directory), id), directory, rest };
}

/** For the help of the verbs on what a node keeps. */
export const lostFlagsHelp = `  --database-dir DIR  The directory of the databases; otherwise as the configuration has it
  --config FILE       The configuration; \`skein help run\` lists all its flags
`;
