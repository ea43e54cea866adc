import { createReadStream, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { messageOf, SkeinError } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { withTwoDashes } from './litefs-flags.ts';
import { clientFor } from './node-client.ts';
import { Progress, sizeText } from './progress.ts';
import { withStopSignal } from './stop-signal.ts';
import { databaseName, fileArgument } from './transfer-arguments.ts';
import type { Verb, VerbInput } from './verb.ts';

/** The node answers only when the whole database is applied and in the log: that may take minutes of silence. */
const idleMs = 600_000;

async function importDatabase(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(withTwoDashes(input.argv, ['name', 'url']), [], ['name', 'url']);
  const name = databaseName(flags, 'import');
  const file = fileArgument(flags, 'import');
  const path = file === '-' ? undefined : resolve(input.cwd, file);
  const bytes = path === undefined ? undefined : fileBytes(path);
  const client = clientFor(input, flags.configArgv, flags.values.get('url'));
  return withStopSignal(async (signal) => {
    const source: Readable = path === undefined ? process.stdin : createReadStream(path);
    const progress = new Progress(name, bytes);
    source.on('error', (error) => progress.destroy(sourceFailure(file, error)));
    const body = { stream: source.pipe(progress), bytes, type: 'application/vnd.sqlite3' };
    try {
      const request = { method: 'POST', path: '/import', query: { name }, body, idleMs, signal } as const;
      await client.json(request, z.unknown());
    } finally {
      source.destroy();
      progress.destroy();
    }
    process.stderr.write(`${name}: ${sizeText(progress.bytes)} imported\n`);
    return 0;
  });
}

/** The size of a file that holds its database whole. Throws IMPORT_INVALID. */
function fileBytes(path: string): number {
  let bytes: number;
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new SkeinError('IMPORT_INVALID', `${path} is no file. Name a database file.`);
    bytes = found.size;
  } catch (error) {
    throw sourceFailure(path, error);
  }
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return bytes;
  // The newest transactions are in the -wal only, and would be missing.
  const advice = `Move them into the file first: sqlite3 '${path}' 'PRAGMA wal_checkpoint(TRUNCATE)'`;
  throw new SkeinError('IMPORT_INVALID', `${path}-wal holds changes that are not in ${path} yet. ${advice}`);
}

function sourceFailure(file: string, error: unknown): SkeinError {
  if (error instanceof SkeinError) return error;
  const message = `${file} cannot be read: ${messageOf(error)}. Name a database file that this user may read.`;
  return new SkeinError('IMPORT_INVALID', message, { cause: error });
}

export const importVerb: Verb = {
  help: `Usage: skein import --name DATABASE FILE
       skein import --name DATABASE - < FILE

Makes a file a database of the cluster, in the place of one of that name. Has to be sent to the primary, which
checks the file before it changes anything.

  --name NAME    The database, such as app.db
${nodeFlagsHelp}`,
  run: importDatabase,
};
