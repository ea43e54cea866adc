import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { parsePosition } from '../ltx/position.ts';
import { lostDirectoryOf } from './hidden-directory.ts';

/** The files of an entry, beside the transactions as `<min>-<max>.ltx`. */
export const entryFile = 'entry.json';
export const stateFile = 'state.ltx';

const positionText = z.string().refine((text) => parsePosition(text) !== undefined);

export const lostEntrySchema = z.object({
  version: z.literal(1),
  /** Names the entry, and its directory in `.skein/lost`. */
  id: z.string(),
  database: z.string(),
  /** The node that kept it. */
  node: z.string(),
  /** The epoch of the chain that was given up; 0 when it is not known. */
  epoch: z.number().int(),
  /** The last position before the transactions that are kept; null when only the state is, as of a database that was dropped. */
  from: positionText.nullable(),
  /** The position of the state that is kept. */
  to: positionText,
  /** Whether `from` is known to be the primary's too, and every transaction from there to `to` is kept by itself. */
  isRangeCertain: z.boolean(),
  /** How many commits were made from `from` to `to`; null without `from`. */
  transactions: z.number().int().nullable(),
  /** When it was kept, ISO 8601. */
  time: z.string(),
  reason: z.string(),
});

/** What `entry.json` says of one state that another took the place of. */
export type LostEntry = z.output<typeof lostEntrySchema>;

export type FoundEntry = {
  readonly entry: LostEntry;
  readonly directory: string;
  /** The size of all its files. */
  readonly bytes: number;
};

/** The entries in `.skein/lost`, oldest first. What is no entry is left out. Throws the system's error. */
export function listLost(hiddenDirectory: string): FoundEntry[] {
  const lost = lostDirectoryOf(hiddenDirectory);
  if (!existsSync(lost)) return [];
  return readdirSync(lost, { withFileTypes: true })
    .filter((found) => found.isDirectory())
    .flatMap(({ name }) => read(join(lost, name), name) ?? [])
    .sort((one, other) => byAge(one.entry, other.entry));
}

/** The entry of that name. Throws `LOST_NOT_FOUND`. */
export function findLost(hiddenDirectory: string, id: string): FoundEntry {
  const entries = listLost(hiddenDirectory);
  const found = entries.find(({ entry }) => entry.id === id);
  if (found) return found;
  const advice =
    entries.length === 0
      ? 'Nothing is kept here; name the configuration of the node that said so'
      : `\`skein lost list\` names those that are; the newest is ${entries.at(-1)?.entry.id}`;
  const what = `${lostDirectoryOf(hiddenDirectory)} has no entry ${JSON.stringify(id)}`;
  throw new SkeinError('LOST_NOT_FOUND', `${what}. ${advice}.`);
}

/** Ids of one second end in a number that counts up. */
function byAge(one: LostEntry, other: LostEntry): number {
  if (one.time !== other.time) return one.time < other.time ? -1 : 1;
  return one.id.localeCompare(other.id, 'en', { numeric: true });
}

function read(directory: string, id: string): FoundEntry | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, entryFile), 'utf8');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const entry = parse(text);
  if (entry?.id !== id) return undefined;
  const bytes = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  return { entry, directory, bytes };
}

function parse(text: string): LostEntry | undefined {
  try {
    return lostEntrySchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
