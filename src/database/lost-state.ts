import { closeSync, fsync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TimeSlice } from '../base/time-slice.ts';
import { LtxDecoder } from '../ltx/decoder.ts';
import { stateFile } from './lost-entries.ts';

const sync = promisify(fsync);
const chunkBytes = 1 << 18;

/**
 * Writes the state that an entry keeps as a database file, which must not be there yet. Rejects with `LTX_INVALID` when the
 * entry is damaged, or with the system's error; the file is then of no use, and the caller's to remove.
 */
export async function restoreState(entryDirectory: string, path: string): Promise<void> {
  const source = openSync(join(entryDirectory, stateFile), 'r');
  try {
    const target = openSync(path, 'wx');
    try {
      await decode(source, target);
      await sync(target);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

async function decode(source: number, target: number): Promise<void> {
  const decoder = new LtxDecoder({
    page: (page, data) => {
      const offset = (page - 1) * data.length;
      for (let done = 0; done < data.length; )
        done += writeSync(target, data, done, data.length - done, offset + done);
    },
  });
  const chunk = Buffer.allocUnsafe(chunkBytes);
  const slice = new TimeSlice();
  for (let read = readSync(source, chunk); read > 0; read = readSync(source, chunk)) {
    decoder.push(chunk.subarray(0, read));
    if (slice.isOver) await slice.yield();
  }
  decoder.end();
}
