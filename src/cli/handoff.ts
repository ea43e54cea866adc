import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { clientFor, jsonBody, type NodeClient } from './node-client.ts';
import { leadAnswer, leadIdleMs, leadText } from './promote.ts';
import { statusAnswer } from './status-answer.ts';
import type { Verb, VerbInput } from './verb.ts';

async function run(input: VerbInput): Promise<number> {
  const { values, positionals, configArgv } = parseVerbFlags(input.argv, [], ['url']);
  const [target, extra] = positionals;
  if (extra !== undefined)
    throw new SkeinError('USAGE', `Unexpected argument "${extra}". One node can lead: skein handoff [NODE]`);
  const { client, name } = await primaryOf(clientFor(input, configArgv, values.get('url')));
  const beganMs = monotonicMs();
  const body = jsonBody(target === undefined ? {} : { node: target });
  const { primary } = await client.json(
    { method: 'POST', path: '/handoff', body, idleMs: leadIdleMs },
    leadAnswer,
  );
  process.stdout.write(leadText(primary, name, monotonicMs() - beganMs));
  return 0;
}

/** The node that leads, as the one that was asked knows it. Throws NOT_PRIMARY when that one knows of none. */
async function primaryOf(client: NodeClient): Promise<{ client: NodeClient; name: string | undefined }> {
  const status = await client.json({ method: 'GET', path: '/status', idleMs: 10_000 }, statusAnswer);
  if (status.role === 'primary') return { client, name: status.node };
  if (status.primary === null) {
    throw new SkeinError(
      'NOT_PRIMARY',
      `${status.node} follows nobody at the moment, so there is nobody to hand over. \`skein doctor\` says who could lead, and why others cannot.`,
    );
  }
  return { client: client.at(status.primary.url), name: status.primary.node ?? undefined };
}

export const handoff: Verb = {
  help: `Usage: skein handoff [NODE] [--url URL] [--config FILE]

Has the primary hand over to NODE, or to the candidate that is nearest to its position. Writes wait for some
milliseconds, nothing is lost, and the app's connections stay open. Any node can be asked.

${nodeFlagsHelp}`,
  run,
};
