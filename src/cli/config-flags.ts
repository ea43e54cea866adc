import { type Flags, isConfigFlag, parseFlags } from '../config/flags.ts';
import { flagOf, keyList } from '../config/schema.ts';

/** The command line of a verb: its own flags apart from those of the configuration. */
export type VerbFlags = Flags & { readonly configArgv: readonly string[] };

/** Splits a verb's command line; `configArgv` is for `loadConfig`. Throws USAGE. */
export function parseVerbFlags(
  argv: readonly string[],
  switches: readonly string[] = [],
  texts: readonly string[] = [],
): VerbFlags {
  const flags = parseFlags(argv, switches, texts);
  const configArgv = [...flags.values].flatMap(([name, value]) =>
    isConfigFlag(name) ? [`--${name}=${value}`] : [],
  );
  return { ...flags, configArgv };
}

/** The lines that every verb's help ends in where it takes the configuration's flags. */
export function configFlagsHelp(): string {
  const names = keyList.map(({ path }) => `--${flagOf(path)}`);
  const width = Math.max(...names.map((name) => name.length));
  const lines = keyList.map(({ about, fallback }, index) => {
    const otherwise = fallback === '' ? '' : ` (default: ${fallback.replaceAll('`', '')})`;
    return `  ${(names[index] ?? '').padEnd(width)}  ${about.replaceAll('`', '')}${otherwise}`;
  });
  return `Configuration (each also a key of the file and a variable: --database-dir is dir of [database] and
SKEIN_DATABASE_DIR):
  ${'--config'.padEnd(width)}  The file; otherwise skein.toml, else fly.toml, if there
${lines.join('\n')}
  ${'--env-NAME'.padEnd(width)}  A variable for the app
  ${'--processes-NAME'.padEnd(width)}  The command of a process; --processes-NAME-on all or primary
`;
}

/** For the help of verbs that talk to a node. */
export const nodeFlagsHelp = `  --url URL      The node's API; otherwise SKEIN_API, else node.listen of the configuration
  --config FILE  The configuration, for its address and secret; \`skein help run\` lists all its flags
`;
