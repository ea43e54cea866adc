import { createWriteStream, existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { withTwoDashes } from './litefs-flags.ts';
import { clientFor, type NodeClient } from './node-client.ts';
import { Progress, sizeText } from './progress.ts';
import { withStopSignal } from './stop-signal.ts';
import { databaseName, fileArgument } from './transfer-arguments.ts';
import type { Verb, VerbInput } from './verb.ts';

const idleMs = 60_000;

async function exportDatabase(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(withTwoDashes(input.argv, ['name', 'url']), [], ['name', 'url']);
  const name = databaseName(flags, 'export');
  const file = fileArgument(flags, 'export');
  const path = file === '-' ? undefined : resolve(input.cwd, file);
  if (path === undefined && process.stdout.isTTY === true) {
    throw new SkeinError(
      'USAGE',
      'A database is nothing for a terminal. Name a file, or send the output into one.',
    );
  }
  if (path !== undefined) refuseFileInUse(path);
  const client = clientFor(input, flags.configArgv, flags.values.get('url'));
  return withStopSignal(async (signal) => {
    const answer = await client.open({ method: 'GET', path: '/export', query: { name }, idleMs, signal });
    const length = answer.headers['content-length'];
    const progress = new Progress(name, length === undefined ? undefined : Number(length));
    if (path === undefined) {
      await receive(client, pipeline(answer, progress, process.stdout, { signal, end: false }), signal);
      return 0;
    }
    await writeWhole(client, answer, progress, path, signal);
    process.stderr.write(`${name}: ${sizeText(progress.bytes)} in ${file}\n`);
    return 0;
  });
}

/** SQLite would read an old journal as part of the new database, and so damage it. Throws USAGE. */
export function refuseFileInUse(path: string): void {
  for (const suffix of ['-wal', '-journal']) {
    if (!existsSync(path + suffix)) continue;
    const what = `${path}${suffix} is there: ${path} is a database in use, or was left so`;
    throw new SkeinError('USAGE', `${what}. Export to another file.`);
  }
}

/** Writes beside the file, and puts it in its place when it is whole and on disk. */
async function writeWhole(
  client: NodeClient,
  answer: Readable,
  progress: Progress,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const part = `${path}.part`;
  try {
    // `flush` is an fsync before the file is closed.
    await receive(
      client,
      pipeline(answer, progress, createWriteStream(part, { flush: true }), { signal }),
      signal,
    );
    await rename(part, path);
    const directory = await open(dirname(path));
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function receive(client: NodeClient, transfer: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await transfer;
  } catch (error) {
    if (signal.aborted) throw error;
    throw writeFailure(error) ?? client.failure(error);
  }
}

/** The failure if it is the file's and not the connection's. */
function writeFailure(error: unknown): SkeinError | undefined {
  const code = systemCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SkeinError('DISK_FULL', 'There is no space left for the file. Make room and export again.');
  }
  if (
    !(error instanceof Error && 'syscall' in error) ||
    !/^(?:open|write|fsync)$/.test(String(error.syscall))
  ) {
    return undefined;
  }
  const message = `The file cannot be written: ${messageOf(error)}. Name one that this user may write.`;
  return new SkeinError('USAGE', message, { cause: error });
}

export const exportVerb: Verb = {
  help: `Usage: skein export --name DATABASE FILE
       skein export --name DATABASE - > FILE

Copies a database of a node, as it is at one moment, into a file. The file is there whole or not at all; an older
one is replaced.

  --name NAME    The database, such as app.db
${nodeFlagsHelp}`,
  run: exportDatabase,
};
