import type { Readable } from 'node:stream';
import { z } from 'zod';
import { SkeinError } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { clientFor, type NodeClient } from './node-client.ts';
import { withStopSignal } from './stop-signal.ts';
import { plain } from './table.ts';
import type { Verb, VerbInput } from './verb.ts';

const lineBytesMax = 1024 ** 2;

async function follow(input: VerbInput): Promise<number> {
  const { values, positionals, configArgv } = parseVerbFlags(input.argv, ['json'], ['url']);
  if (positionals[0] !== undefined) {
    throw new SkeinError('USAGE', `Unexpected argument "${positionals[0]}". A node is named by --url.`);
  }
  const client = clientFor(input, configArgv, values.get('url'));
  return withStopSignal(async (signal) => {
    // A node on which nothing happens says nothing.
    const answer = await client.open({ method: 'GET', path: '/events', idleMs: 0, signal });
    for await (const line of linesOf(answer, client, signal)) {
      process.stdout.write(`${values.has('json') ? line : eventText(line)}\n`);
    }
    const what = `${client.url} ended the stream: the node was stopped, or this reader was too slow for it`;
    throw new SkeinError('NODE_UNREACHABLE', `${what}. Start again to follow further.`);
  });
}

async function* linesOf(answer: Readable, client: NodeClient, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of answer) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > lineBytesMax)
        throw new SkeinError('PROTOCOL_INVALID', `${client.url} sent an endless line.`);
      yield* lines.filter((line) => line !== '');
    }
  } catch (error) {
    throw signal.aborted ? error : client.failure(error);
  }
}

const event = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.enum(['init', 'primaryChange']),
    data: z.looseObject({ isPrimary: z.boolean(), hostname: z.string().optional() }),
  }),
  z.looseObject({
    type: z.literal('tx'),
    db: z.string(),
    data: z.looseObject({
      txID: z.string(),
      postApplyChecksum: z.string(),
      pageSize: z.number(),
      commit: z.number(),
      timestamp: z.string(),
    }),
  }),
]);

/** One line of the stream for people; a kind of event that this version does not know stays as it came. */
export function eventText(line: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return plain(line);
  }
  const result = event.safeParse(value);
  if (!result.success) return plain(line);
  const found = result.data;
  if (found.type === 'tx') {
    const { timestamp, txID, postApplyChecksum, commit, pageSize } = found.data;
    return plain(
      `${timestamp}  ${found.db}  ${txID}/${postApplyChecksum}  ${commit} pages of ${pageSize} bytes`,
    );
  }
  const { isPrimary, hostname } = found.data;
  const leader = isPrimary ? 'this node is primary' : `the primary is ${hostname ?? 'not known'}`;
  return plain(found.type === 'init' ? `now: ${leader}` : `change: ${leader}`);
}

export const events: Verb = {
  help: `Usage: skein events [--json] [--url URL] [--config FILE]

Shows each transaction and each change of the primary as it happens, until Ctrl-C.

  --json         The events as the node sends them, one JSON object a line
${nodeFlagsHelp}`,
  run: follow,
};
