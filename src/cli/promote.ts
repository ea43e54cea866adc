import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { clientFor, jsonBody } from './node-client.ts';
import { statusAnswer } from './status-answer.ts';
import { plain } from './table.ts';
import type { Verb, VerbInput } from './verb.ts';

/** A node answers when it leads, or after 20 s that it does not. */
export const leadIdleMs = 40_000;
export const leadAnswer = z.looseObject({ primary: z.string() });

async function run(input: VerbInput): Promise<number> {
  const { values, positionals, configArgv } = parseVerbFlags(input.argv, ['accept-loss'], ['url']);
  if (positionals[0] !== undefined) {
    throw new SkeinError(
      'USAGE',
      `Unexpected argument "${positionals[0]}". The node that is to lead is named by --url; \`skein handoff ${positionals[0]}\` asks the primary.`,
    );
  }
  const client = clientFor(input, configArgv, values.get('url'));
  const before = await client.json({ method: 'GET', path: '/status', idleMs: 10_000 }, statusAnswer);
  const beganMs = monotonicMs();
  const body = jsonBody({ acceptLoss: values.has('accept-loss') });
  const { primary } = await client.json(
    { method: 'POST', path: '/promote', body, idleMs: leadIdleMs },
    leadAnswer,
  );
  process.stdout.write(leadText(primary, before.primary?.node ?? undefined, monotonicMs() - beganMs));
  return 0;
}

/** Who leads, who did, and how long the change took. */
export function leadText(primary: string, before: string | undefined, tookMs: number): string {
  if (primary === before) return `${plain(primary)} leads already.\n`;
  const last = before === undefined ? 'nobody led before' : `${plain(before)} led before`;
  return `${plain(primary)} leads, after ${Math.round(tookMs)} ms; ${last}.\n`;
}

export const promote: Verb = {
  help: `Usage: skein promote [--accept-loss] [--url URL] [--config FILE]

Has this node lead. Where another one leads, that one hands over, and nothing is lost. Where nobody leads, this node
takes the lease, unless it may lack what was acknowledged: then it says so and changes nothing.

  --accept-loss  Lead all the same, without what this node lacks. Nodes that have it keep it in \`skein lost\`
                 when they come back. It has no effect while another node leads
${nodeFlagsHelp}`,
  run,
};
