import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { restoreState } from '../database/lost-state.ts';
import { parseVerbFlags } from './config-flags.ts';
import { refuseFileInUse } from './export.ts';
import { entryOf, lostFlagsHelp } from './lost-entry-of.ts';
import { sizeText } from './progress.ts';
import type { Verb, VerbInput } from './verb.ts';

const usage = 'skein lost export ID [FILE]';

async function exportState(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(input.argv);
  const { found, rest } = entryOf(input, flags, usage, 2);
  const file = rest[0] ?? `${found.entry.id}.db`;
  if (file === '' || file === '-') throw new SkeinError('USAGE', `"${file}" is no file. ${usage}`);
  const path = resolve(input.cwd, file);
  refuseFileInUse(path);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new SkeinError('USAGE', `${path} is a directory. Name a file: ${usage}`);
  }
  const part = `${path}.part`;
  try {
    rmSync(part, { force: true });
    await restoreState(found.directory, part);
    renameSync(part, path);
    syncDirectory(dirname(path));
  } catch (error) {
    if (existsSync(part)) rmSync(part, { force: true });
    throw writeFailure(error);
  }
  process.stderr.write(`${found.entry.database}: ${sizeText(statSync(path).size)} in ${file}\n`);
  return 0;
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  fsyncSync(directory);
  closeSync(directory);
}

function writeFailure(error: unknown): unknown {
  const code = systemCodeOf(error);
  if (error instanceof SkeinError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SkeinError('DISK_FULL', 'There is no space left for the file. Make room and export again.');
  }
  const message = `The file cannot be written: ${messageOf(error)}. Name one that this user may write.`;
  return new SkeinError('USAGE', message, { cause: error });
}

export const lostExport: Verb = {
  help: `Usage: ${usage} [FLAGS]

Writes a kept state as a database file, ID.db unless named. The file is there whole or not at all; an older one is
replaced. The node need not run.

${lostFlagsHelp}`,
  run: exportState,
};
