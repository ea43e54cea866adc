import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { TimeSlice } from '../base/time-slice.ts';
import type { FoundEntry } from '../database/lost-entries.ts';
import { restoreState } from '../database/lost-state.ts';
import { parseVerbFlags } from './config-flags.ts';
import { entryOf, lostFlagsHelp } from './lost-entry-of.ts';
import { comment, stateDifference } from './state-difference.ts';
import { withStopSignal } from './stop-signal.ts';
import type { Verb, VerbInput } from './verb.ts';

const usage = 'skein lost show ID';
const busyTimeoutMs = 5_000;

async function show(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(input.argv);
  const { found, directory } = entryOf(input, flags, usage, 1);
  const current = join(directory, found.entry.database);
  const temporary = mkdtempSync(join(tmpdir(), 'skein-lost-'));
  const remove = () => rmSync(temporary, { recursive: true, force: true });
  // Also when who reads the output has gone: the process ends at once then.
  process.once('exit', remove);
  try {
    return await withStopSignal(async (signal) => {
      await print(headOf(found), signal);
      if (existsSync(current)) await compare(found, current, join(temporary, 'state.db'), signal);
      else await print([comment(`${current} is not there: all of the state was lost.`)], signal);
      return 0;
    });
  } finally {
    process.removeListener('exit', remove);
    remove();
  }
}

async function compare(
  { directory, entry }: FoundEntry,
  current: string,
  state: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await restoreState(directory, state);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOSPC') throw error;
    const what = `There is no room in ${tmpdir()} for the kept state of ${entry.database}`;
    throw new SkeinError('DISK_FULL', `${what}. Name a directory with more by TMPDIR.`, { cause: error });
  }
  const connection = new DatabaseSync(state, { readOnly: true });
  try {
    attach(connection, current);
    await print(['BEGIN;\n'], signal);
    await print(stateDifference(connection), signal);
    await print(['COMMIT;\n'], signal);
  } finally {
    connection.close();
  }
}

/** One read transaction from here on: the node may go on replacing what is read. */
function attach(connection: DatabaseSync, current: string): void {
  try {
    connection.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}; PRAGMA trusted_schema = OFF`);
    connection.prepare('ATTACH ? AS now').run(`${pathToFileURL(current).href}?mode=ro`);
    connection.exec('BEGIN; SELECT 1 FROM main.sqlite_schema; SELECT 1 FROM now.sqlite_schema');
  } catch (error) {
    const what = `The kept state and ${current} cannot be compared: ${messageOf(error)}`;
    throw new SkeinError('DATABASE_BUSY', `${what}. \`skein lost export\` writes all of the state.`, {
      cause: error,
    });
  }
}

function headOf({ entry, directory }: FoundEntry): string[] {
  const { id, database, node, epoch, from, to, isRangeCertain, transactions, time, reason } = entry;
  const range = from === null ? `to ${to}` : `from ${from} to ${to}, ${transactions} transactions`;
  return [
    comment(`${id}: ${database} of node ${node}, epoch ${epoch}, kept at ${time}`),
    comment(`because ${reason}`),
    comment(`${range}${isRangeCertain || from === null ? '' : ' or fewer'}, in ${directory}`),
    comment(`What the state has and the current database has not. Where both have a row, the current one may be newer:
read each statement before you apply it, and take out what is not wanted. All of them together, on the primary:
sqlite3 -bail ${database} < FILE`),
  ];
}

async function print(pieces: Iterable<string>, signal: AbortSignal): Promise<void> {
  const slice = new TimeSlice();
  for (const piece of pieces) {
    if (!process.stdout.write(piece)) await once(process.stdout, 'drain', { signal });
    if (slice.isOver) await slice.yield();
    signal.throwIfAborted();
  }
}

export const lostShow: Verb = {
  help: `Usage: ${usage} [FLAGS]

Shows what a kept state has and the node's current database has not, as SQL to read, to choose from and to apply on the
primary: rows only in the state as INSERT, rows that differ as UPDATE with the current values beside, the rest as
comments. Virtual tables are left out. Changes nothing. The node need not run.

${lostFlagsHelp}`,
  run: show,
};
