import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import { type ErrorCode, exitCodes, SkeinError } from '../base/errors.ts';
import type { NodeClient } from './node-client.ts';

const line = z.union([
  z.object({ held: z.literal(true), position: z.string() }),
  z.object({ held: z.literal(false), position: z.string() }),
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
]);

/**
 * Runs `task` while programs beside the node may write the database, and returns what it returns once the primary has what
 * they wrote. Its signal aborts when that is over before. Rejects with what the node refused with.
 */
export async function holdHaltLock(
  client: NodeClient,
  database: string,
  say: (text: string) => void,
  task: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stream = new PassThrough();
  // So that the head is sent: the body ends when the lock is given back.
  stream.write('\n');
  const body = { stream, bytes: undefined, type: 'application/octet-stream' };
  const query = { name: database };
  const answer = await client.open({ method: 'POST', path: '/halt-lock', query, body, idleMs: 0 });
  const lost = new AbortController();
  answer.on('error', () => lost.abort());
  answer.on('close', () => lost.abort());
  const lines = createInterface({ input: answer })[Symbol.asyncIterator]();
  try {
    const held = parse(client, (await lines.next()).value);
    say(`the halt lock on ${database} is held, at ${held.position}`);
    let isOver = false;
    const outcome = (async () => {
      for await (const text of lines) {
        // Before its time: the lock was lost, or the node is to lead, or stops.
        if (!isOver) lost.abort();
        if (!/^\{"recalled"/.test(text)) return text;
      }
      return undefined;
    })().catch(() => undefined);
    const code = await task(lost.signal);
    isOver = true;
    stream.end();
    const { position } = parse(client, await outcome);
    say(`the primary has ${database} at ${position}`);
    return code;
  } finally {
    stream.destroy();
    answer.destroy();
  }
}

function parse(client: NodeClient, text: unknown): { position: string } {
  if (typeof text !== 'string') {
    const what = `${client.url} ended the halt lock without a word`;
    throw new SkeinError(
      'NODE_UNREACHABLE',
      `${what}, so it is not known whether the primary has what was written. \`skein lost list\` shows it if not.`,
    );
  }
  const answer = line.parse(JSON.parse(text));
  if (!('error' in answer)) return answer;
  const { code, message } = answer.error;
  throw new SkeinError(isErrorCode(code) ? code : 'PROTOCOL_INVALID', message);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(exitCodes, code);
}
