import { closeSync, existsSync, fsync, openSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { wallClockMs } from '../base/clock.ts';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { TimeSlice } from '../base/time-slice.ts';
import type { LocatedRecord, Log } from '../log/log.ts';
import { ltxFileName } from '../ltx/name.ts';
import { formatPosition, type Position, txid } from '../ltx/position.ts';
import { openLostDirectory } from './hidden-directory.ts';
import { entryFile, type LostEntry, listLost, stateFile } from './lost-entries.ts';
import type { PinnedPages } from './pinned-state.ts';
import { writeSnapshot } from './snapshot.ts';

const sync = promisify(fsync);

/** Entries of one database that hold transactions; the oldest goes first. */
const entriesMax = 100;
/** Entries of one database that hold its state alone, as of one that was dropped. */
const statesMax = 2;
/** Transactions of one entry that are kept by themselves, the newest; the state has the others. */
const filesMax = 1_000;
const chunkBytes = 1 << 18;

/** Where the transactions begin that the primary does not have. */
export type LostRange = {
  readonly from: Position;
  /** Whether the primary is known to have `from`. */
  readonly isCertain: boolean;
};

export type LostState = {
  readonly database: string;
  readonly node: string;
  readonly nodeId: bigint;
  /** Of the chain that is given up; 0 when it is not known. */
  readonly epoch: number;
  /** The database's log; its records from `range` on are kept. */
  readonly log: Log;
  /** Left out, only the state is kept. */
  readonly range?: LostRange | undefined;
  readonly reason: string;
};

/**
 * Writes a state of a database, and the transactions that led to it, to a directory in `.skein/lost`, before another state
 * takes its place: what only this node has is for a person to look at. All of it is on the disk when this resolves. Rejects
 * with `DISK_FULL` or the system's error; nothing is there then.
 */
export async function keepLost(
  hiddenDirectory: string,
  pinned: PinnedPages,
  state: LostState,
): Promise<LostEntry> {
  const { database } = state;
  const lost = openLostDirectory(hiddenDirectory);
  const chosen = chooseRecords(pinned.position, state);
  const known = alreadyKept(hiddenDirectory, chosen.entry);
  if (known) return known;
  // Looked at first: a copy that fills the disk and then fails would stop the app's other writers for nothing.
  const { bavail, bsize } = statfsSync(lost);
  const recordBytes = chosen.records.reduce((sum, { record }) => sum + record.length, 0);
  const { commit, pageSize } = pinned.source;
  if (bavail * bsize < commit * pageSize + recordBytes) throw noRoom(database, lost);
  const id = freeId(lost, database);
  const part = join(hiddenDirectory, 'tmp', `${id}.lost`);
  rmSync(part, { recursive: true, force: true });
  try {
    await mkdir(part, { recursive: true });
    await writeState(join(part, stateFile), pinned, chosen.to, state.nodeId);
    const isWhole = await writeRecords(part, chosen.records);
    const entry = { id, ...chosen.entry, isRangeCertain: chosen.entry.isRangeCertain && isWhole };
    await writeWhole(join(part, entryFile), (write) =>
      write(Buffer.from(`${JSON.stringify(entry, undefined, 2)}\n`)),
    );
    await syncDirectory(part);
    renameSync(part, join(lost, id));
    // The original goes next, and must not be on its way out of the disk before the entry's name is on it.
    await syncDirectory(lost);
    dropOldest(hiddenDirectory, entry);
    return entry;
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    const code = systemCodeOf(error);
    throw code === 'ENOSPC' || code === 'EDQUOT' ? noRoom(database, lost, error) : error;
  }
}

type Chosen = {
  readonly to: Position;
  readonly records: readonly LocatedRecord[];
  readonly entry: Omit<LostEntry, 'id'>;
};

/** What there is to keep of the log. Where it is damaged, or longer than an entry may be, the entry says so. */
function chooseRecords(position: Position, state: LostState): Chosen {
  const { log, range, database, node, epoch, reason } = state;
  // A state that the log does not know came after all that it knows, by at least one commit.
  const isKnown = position.txid > 0;
  const to = isKnown ? position : { txid: txid(log.tail.txid + 1), checksum: position.checksum };
  const { records, from, isWhole } = range
    ? readLog(log, range.from, to)
    : { records: [], from: undefined, isWhole: false };
  return {
    to,
    records,
    entry: {
      version: 1,
      database,
      node,
      epoch,
      from: from ? formatPosition(from) : null,
      to: formatPosition(to),
      isRangeCertain: range?.isCertain === true && isKnown && isWhole,
      transactions: from ? to.txid - from.txid : null,
      time: new Date(wallClockMs()).toISOString(),
      reason,
    },
  };
}

function readLog(
  log: Log,
  from: Position,
  to: Position,
): { records: LocatedRecord[]; from: Position; isWhole: boolean } {
  const records: LocatedRecord[] = [];
  let before = from;
  let isWhole = true;
  let cursor = log.find(from);
  try {
    for (let next = cursor && log.next(cursor); next; next = log.next(cursor)) {
      if (next.after.position.txid > to.txid) break;
      cursor = next.after;
      records.push(next);
      const first = records.length > filesMax ? records.shift() : undefined;
      if (!first) continue;
      before = { txid: first.record.header.maxTxid, checksum: first.record.postApplyChecksum };
      isWhole = false;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    isWhole = false;
  }
  return { records, from: before, isWhole: isWhole && cursor?.position.txid === to.txid };
}

/** A node that was stopped between keeping and replacing comes by here again with the same state. */
function alreadyKept(hiddenDirectory: string, entry: Omit<LostEntry, 'id'>): LostEntry | undefined {
  return listLost(hiddenDirectory).findLast(
    ({ entry: kept, directory }) =>
      kept.database === entry.database &&
      kept.to === entry.to &&
      kept.epoch === entry.epoch &&
      (entry.from === null || kept.from === entry.from) &&
      existsSync(join(directory, stateFile)),
  )?.entry;
}

function freeId(lost: string, database: string): string {
  const stamp = new Date(wallClockMs()).toISOString().replace(/[-:]|\.\d+/g, '');
  const id = `${database}-${stamp}`;
  let free = id;
  for (let count = 2; existsSync(join(lost, free)); count += 1) free = `${id}-${count}`;
  return free;
}

async function writeState(path: string, pinned: PinnedPages, to: Position, nodeId: bigint): Promise<void> {
  const { source } = pinned;
  const input = { source, position: to, nodeId, timestampMs: wallClockMs() };
  await writeWhole(path, (write) => writeSnapshot(input, write, new AbortController().signal));
}

/** False when some could not be read: the log was damaged, or cut short by its limits meanwhile. */
async function writeRecords(directory: string, records: readonly LocatedRecord[]): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const slice = new TimeSlice();
  for (const { record, segment } of records) {
    const path = join(directory, ltxFileName(record.header.minTxid, record.header.maxTxid));
    try {
      await writeWhole(path, async (write) => {
        for (let done = 0; done < record.length; ) {
          const length = Math.min(buffer.length, record.length - done);
          segment.read(buffer, length, record.offset + done);
          write(buffer.subarray(0, length));
          done += length;
          if (slice.isOver) await slice.yield();
        }
      });
    } catch (error) {
      if (!isDamage(error)) throw error;
      rmSync(path, { force: true });
      return false;
    }
  }
  return true;
}

/** Makes a file and brings it to the disk. */
async function writeWhole(
  path: string,
  fill: (write: (bytes: Uint8Array) => void) => void | Promise<void>,
): Promise<void> {
  const file = openSync(path, 'w');
  try {
    await fill((bytes) => {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
    });
    await sync(file);
  } finally {
    closeSync(file);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = openSync(path, 'r');
  try {
    await sync(directory);
  } finally {
    closeSync(directory);
  }
}

/** What was kept a moment ago stays, whatever the clock says. */
function dropOldest(hiddenDirectory: string, newest: LostEntry): void {
  const isAlike = (entry: LostEntry) =>
    entry.database === newest.database && (entry.from === null) === (newest.from === null);
  const max = newest.from === null ? statesMax : entriesMax;
  const others = listLost(hiddenDirectory).filter(({ entry }) => isAlike(entry) && entry.id !== newest.id);
  for (const { directory } of others.slice(0, Math.max(0, others.length - (max - 1)))) {
    rmSync(directory, { recursive: true, force: true });
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof SkeinError && error.code === 'LOG_CORRUPT';
}

function noRoom(name: string, directory: string, cause?: unknown): SkeinError {
  return new SkeinError(
    'DISK_FULL',
    `The disk has no room for a copy of ${name} in ${directory}, without which this node's state is not replaced by the primary's. Free some space, or remove old copies there; it goes on by itself.`,
    { cause },
  );
}
