import { SkeinError } from '../base/errors.ts';
import { hiddenDirectoryOf } from '../database/hidden-directory.ts';
import { type FoundEntry, listLost } from '../database/lost-entries.ts';
import { parseVerbFlags } from './config-flags.ts';
import { databaseDirectory, lostFlagsHelp } from './lost-entry-of.ts';
import { sizeText } from './progress.ts';
import { plain, table } from './table.ts';
import type { Verb, VerbInput } from './verb.ts';

async function list(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(input.argv, ['json']);
  const [extra] = [...flags.positionals, ...(flags.command ?? [])];
  if (extra !== undefined) {
    throw new SkeinError('USAGE', `Unexpected argument "${extra}". skein lost show ${extra} shows an entry.`);
  }
  const found = listLost(hiddenDirectoryOf(databaseDirectory(input, flags)));
  process.stdout.write(flags.values.has('json') ? jsonOf(found) : tableOf(found));
  return 0;
}

function jsonOf(found: readonly FoundEntry[]): string {
  const entries = found.map(({ entry, directory, bytes }) => ({ ...entry, directory, bytes }));
  return `${JSON.stringify({ entries }, undefined, 2)}\n`;
}

function tableOf(found: readonly FoundEntry[]): string {
  if (found.length === 0) return 'Nothing was lost.\n';
  const rows = found.map(({ entry, bytes }) => [
    plain(entry.id),
    plain(entry.database),
    transactionsText(entry),
    String(entry.epoch),
    plain(entry.time),
    sizeText(bytes),
  ]);
  return table(['id', 'database', 'transactions', 'epoch', 'time', 'size'], rows);
}

/** "at most" where the place is not known from which on nobody else has them. */
function transactionsText({ transactions, isRangeCertain }: FoundEntry['entry']): string {
  if (transactions === null) return '-';
  return isRangeCertain ? String(transactions) : `${transactions}?`;
}

export const lostList: Verb = {
  help: `Usage: skein lost list [--json] [FLAGS]

Lists the states that this node kept when the primary's took their place, oldest first. A number of transactions with
a question mark may count some that the primary has, or leave out the last; "-" is for a whole database.
The node need not run.

  --json              All that is known of each entry
${lostFlagsHelp}`,
  run: list,
};
