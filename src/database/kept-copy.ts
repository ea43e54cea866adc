import { closeSync, fsync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TimeSlice } from '../base/time-slice.ts';
import { formatChecksum, formatTxid } from '../ltx/position.ts';
import type { PinnedPages } from './pinned-state.ts';

const sync = promisify(fsync);

/** Copies of one database that are kept; the oldest goes first. */
const copiesMax = 2;

/**
 * Writes a state of a database to a file in `.skein/lost`, before another state takes its place: what only this node
 * has is for a person to look at. Returns the file's path. Throws the system's error; nothing is there then.
 */
export async function keepCopy(hiddenDirectory: string, name: string, pinned: PinnedPages): Promise<string> {
  const directory = join(hiddenDirectory, 'lost');
  mkdirSync(directory, { recursive: true });
  const { txid, checksum } = pinned.position;
  const path = join(directory, `${name}-${formatTxid(txid)}-${formatChecksum(checksum)}.db`);
  const part = `${path}.part`;
  try {
    await writePages(part, pinned);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  renameSync(part, path);
  const copies = readdirSync(directory).filter((file) => file.startsWith(`${name}-`) && file.endsWith('.db'));
  for (const oldest of copies.sort().slice(0, -copiesMax)) rmSync(join(directory, oldest));
  return path;
}

async function writePages(path: string, { source }: PinnedPages): Promise<void> {
  const file = openSync(path, 'w');
  try {
    const slice = new TimeSlice();
    for (let page = 1; page <= source.commit; page += 1) {
      if (page === source.lockPage) continue;
      const data = source.page(page);
      const offset = (page - 1) * source.pageSize;
      for (let done = 0; done < data.length; ) {
        done += writeSync(file, data, done, data.length - done, offset + done);
      }
      if (slice.isOver) await slice.yield();
    }
    await sync(file);
  } finally {
    closeSync(file);
  }
}
