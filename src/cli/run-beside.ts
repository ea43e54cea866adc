import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { basename } from 'node:path';
import { z } from 'zod';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { holdHaltLock } from './halt-lock.ts';
import { besideSwitches, besideTexts, type LiteFsFlags, parseLiteFsFlags } from './litefs-flags.ts';
import { clientFor, jsonBody, type NodeClient } from './node-client.ts';
import { leadAnswer, leadIdleMs } from './promote.ts';
import type { VerbInput } from './verb.ts';

const idleMs = 10_000;

const infoAnswer = z.looseObject({ candidate: z.boolean(), isPrimary: z.boolean() });

/** `litefs run`: runs a command beside the node that runs here, and returns its exit code. */
export async function runBeside(input: VerbInput): Promise<number> {
  const flags = parseLiteFsFlags(input.argv, besideSwitches, besideTexts);
  const [program, ...args] = commandOf(flags);
  const { values } = flags;
  const client = clientFor(input, [], values.get('url'));
  const say = (text: string) => {
    if (values.has('v')) process.stderr.write(`skein: ${text}\n`);
  };
  if (values.has('if-candidate')) {
    const { candidate } = await client.json({ method: 'GET', path: '/info', idleMs }, infoAnswer);
    if (!candidate) {
      process.stderr.write('skein: this node is no candidate, so the command is left out\n');
      return 0;
    }
  }
  if (values.has('promote')) {
    say('this node is to lead');
    await promote(client);
    say('this node leads');
  }
  const database = values.get('with-halt-lock-on');
  if (database === undefined) return runChild(program, args, input);
  return holdHaltLock(client, basename(database), say, (signal) => runChild(program, args, input, signal));
}

function commandOf({ values, command }: LiteFsFlags): readonly [string, ...string[]] {
  if (values.has('promote') && values.has('with-halt-lock-on')) {
    throw new SkeinError(
      'USAGE',
      '-promote and -with-halt-lock-on are two ways to write here. Use one of them.',
    );
  }
  const [program, ...args] = command ?? [];
  if (program === undefined) throw new SkeinError('USAGE', 'Which command? It goes after --.');
  return [program, ...args];
}

async function promote(client: NodeClient): Promise<void> {
  const { isPrimary } = await client.json({ method: 'GET', path: '/info', idleMs }, infoAnswer);
  if (isPrimary) return;
  await client.json({ method: 'POST', path: '/promote', body: jsonBody({}), idleMs: leadIdleMs }, leadAnswer);
}

/** Runs a program with this one's input and output. Signals go on to it; `stop` ends it. Returns its code, 128 + n for signal n. */
function runChild(
  program: string,
  args: readonly string[],
  { env, cwd }: VerbInput,
  stop?: AbortSignal,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(program, args, { env, cwd, stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const end = () => child.kill('SIGKILL');
  process.on('SIGINT', forward);
  process.on('SIGTERM', forward);
  stop?.addEventListener('abort', end, { once: true });
  if (stop?.aborted) end();
  child.once('error', (error) => {
    const what = systemCodeOf(error) === 'ENOENT' ? 'is not found' : `cannot be started: ${messageOf(error)}`;
    reject(new SkeinError('COMMAND_NOT_FOUND', `${program} ${what}. Name a program of the PATH, or a path.`));
  });
  child.once('exit', (code, signal) =>
    resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]),
  );
  return promise.finally(() => {
    process.off('SIGINT', forward);
    process.off('SIGTERM', forward);
    stop?.removeEventListener('abort', end);
  });
}
