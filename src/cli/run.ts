import { SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { loadConfigWithGivens } from '../config/load-config.ts';
import { configFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { besideFlags, hasLiteFsFlag } from './litefs-flags.ts';
import type { Verb, VerbInput } from './verb.ts';

async function start(input: VerbInput): Promise<number> {
  const { argv, env, cwd } = input;
  if (hasLiteFsFlag(argv, besideFlags)) return (await import('./run-beside.ts')).runBeside(input);
  const { command, configArgv, positionals } = parseVerbFlags(argv);
  const [extra] = positionals;
  if (extra !== undefined) {
    throw new SkeinError(
      'USAGE',
      `Unexpected argument "${extra}". A command goes after --: skein run -- ${extra}`,
    );
  }
  if (command?.length === 0)
    throw new SkeinError('USAGE', 'There is no command after --. Add one, or leave out --.');
  const { config, givens } = loadConfigWithGivens({ argv: configArgv, env, cwd });
  if (config.sources.length === 0 && givens.size === 0 && command === undefined) {
    const what = `There is no skein.toml or fly.toml in ${cwd}`;
    const advice = 'Write one, name one by --config, or give a command: skein run -- COMMAND';
    throw new SkeinError('CONFIG_NOT_FOUND', `${what}. ${advice}`);
  }
  // Only here: no other verb should wait for the whole engine to load.
  const { runNode } = await import('../node/run-node.ts');
  return runNode(command === undefined ? config : withCommand(config, command));
}

/** The configuration with the command as its only process, on every node. */
export function withCommand(config: Config, argv: readonly string[]): Config {
  const { litefs } = config;
  return {
    ...config,
    ...(litefs === undefined ? {} : { litefs: { ...litefs, setup: [] } }),
    processes: [{ name: 'app', command: argv.map(quoted).join(' '), argv, on: 'all' }],
  };
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export const run: Verb = {
  help: `Usage: skein run [--config FILE] [FLAGS] [-- COMMAND…]
       skein run [-if-candidate] [-promote | -with-halt-lock-on DATABASE] [-url URL] [-v] -- COMMAND…

Runs a node until it is stopped: replicates every *.db of its directory and runs the app's processes. A command
after -- replaces all configured processes, is run without a shell, and gives its exit code.

The second form runs a command beside a node that runs already, as \`litefs run\` does, and gives its exit code:
  -if-candidate            Only where the node is a candidate; elsewhere nothing is done, with exit code 0
  -promote                 The node leads first
  -with-halt-lock-on NAME  What the command writes into this database on a replica is the primary's too when it has
                           ended; the primary does not write meanwhile
  -url URL                 The node's API; otherwise SKEIN_API, else node.listen of the configuration
  -v                       Say what is done

${configFlagsHelp()}`,
  run: start,
};
