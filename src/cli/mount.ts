import { SkeinError } from '../base/errors.ts';
import { loadConfigWithGivens } from '../config/load-config.ts';
import { parseLiteFsFlags } from './litefs-flags.ts';
import { withCommand } from './run.ts';
import type { Verb, VerbInput } from './verb.ts';

const withoutMeaning = ['skip-unmount', 'fuse.debug', 'debug', 'tracing'] as const;

async function mount({ argv, env, cwd }: VerbInput): Promise<number> {
  const flags = parseLiteFsFlags(argv, ['no-expand-env', ...withoutMeaning], ['config']);
  const { values, command } = flags;
  if (command?.length === 0)
    throw new SkeinError('USAGE', 'There is no command after --. Add one, or leave out --.');
  const named = values.get('config');
  const configArgv = named === undefined ? [] : [`--config=${named}`];
  const litefs = { expand: !values.has('no-expand-env') };
  const { config } = loadConfigWithGivens({ argv: configArgv, env, cwd, litefs });
  const unused = withoutMeaning.filter((name) => values.has(name)).map((name) => `-${name}`);
  const sections = [...config.sections, ...unused];
  // Only here: no other verb should wait for the whole engine to load.
  const { runNode } = await import('../node/run-node.ts');
  return runNode({ ...(command === undefined ? config : withCommand(config, command)), sections });
}

export const mountVerb: Verb = {
  help: `Usage: skein mount [-config FILE] [-no-expand-env] [-- COMMAND…]

Runs a node from a litefs.yml, as \`litefs mount\` does: the named one, else the first of ./litefs.yml, ~/litefs.yml
and /etc/litefs.yml. A command after -- replaces all of exec, and gives its exit code. Nothing is mounted: fuse.dir is an
ordinary directory.

  -config FILE     The file
  -no-expand-env   Leave $NAME and \${…} in it as they are
  -skip-unmount, -fuse.debug, -debug, -tracing
                   Taken, without a meaning here

What is left out in the file can be given by a variable, as SKEIN_NODE_SECRET; \`skein help run\` lists them, and
\`skein config check --config FILE\` shows what the file became.
`,
  run: mount,
};
