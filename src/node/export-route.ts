import { pipeline } from 'node:stream/promises';
import { SkeinError } from '../base/errors.ts';
import { TimeSlice } from '../base/time-slice.ts';
import type { PinnedPages } from '../database/pinned-state.ts';
import { Spool } from '../database/spool.ts';
import { formatPosition } from '../ltx/position.ts';
import type { ApiRequest } from './api-server.ts';
import type { Replication } from './replication.ts';

const chunkBytes = 1 << 18;
const exportsMax = 4;

/** GET /export?name=: the database as one SQLite file, in one consistent state, without stopping anybody. */
export class ExportRoute {
  readonly #replication: () => Replication;
  readonly #spoolDirectory: () => string;
  #running = 0;

  constructor(replication: () => Replication, spoolDirectory: () => string) {
    this.#replication = replication;
    this.#spoolDirectory = spoolDirectory;
  }

  async answer({ response, query }: ApiRequest): Promise<void> {
    const name = query.get('name');
    if (!name) throw new SkeinError('USAGE', 'name required: GET /export?name=app.db');
    if (this.#running >= exportsMax)
      throw new SkeinError('DATABASE_BUSY', `${exportsMax} exports run already. Try again when one is done.`);
    this.#running += 1;
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      const pinned = await this.#replication().pin(name);
      const spool = this.#openSpool(name, pinned);
      pinned.recalled.addEventListener('abort', () => response.destroy(), { once: true });
      const writing = spoolPages(pinned, spool, gone.signal).finally(() => pinned.release());
      response.writeHead(200, {
        'content-type': 'application/vnd.sqlite3',
        'content-length': pinned.source.commit * pinned.source.pageSize,
        'skein-position': formatPosition(pinned.position),
      });
      try {
        await pipeline(copies(spool, gone.signal), response);
      } catch (error) {
        if (!gone.signal.aborted) throw error;
      } finally {
        gone.abort();
        await writing;
        spool.close();
      }
    } finally {
      this.#running -= 1;
    }
  }

  /** The pin must not outlive a spool that could not be made: nothing would be recycled any more. */
  #openSpool(name: string, pinned: PinnedPages): Spool {
    try {
      return new Spool(this.#spoolDirectory(), `${name}.export`);
    } catch (error) {
      pinned.release();
      throw error;
    }
  }
}

/** At the speed of this machine, so that a slow reader holds nothing up. */
async function spoolPages({ source }: PinnedPages, spool: Spool, signal: AbortSignal): Promise<void> {
  const slice = new TimeSlice();
  try {
    for (let page = 1; page <= source.commit && !signal.aborted; page += 1) {
      spool.write(page === source.lockPage ? new Uint8Array(source.pageSize) : source.page(page));
      if (slice.isOver) await slice.yield();
      if (page % 64 === 0) await spool.room();
    }
    spool.end();
  } catch (error) {
    spool.fail(error);
  }
}

/** The spool reuses its buffer, the response keeps what it was given. */
async function* copies(spool: Spool, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const chunk of spool.chunks(chunkBytes, signal)) yield Buffer.from(chunk);
}
