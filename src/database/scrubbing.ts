import { monotonicMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { TimeSlice } from '../base/time-slice.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import type { PageSource } from '../sqlite/page-source.ts';
import type { PinnedPages } from './pinned-state.ts';

/** How often every page is read and compared with its checksum. A gigabyte takes about a second, in slices. */
const intervalMs = Number(process.env.SKEIN_TEST_SCRUB_MS ?? 600_000);

/**
 * The pages whose bytes are not those that their checksums in memory stand for: something other than SQLite has written
 * to the file, or the disk has. Rejects with the signal's reason.
 */
export async function scrubPages(
  source: PageSource,
  checksums: PageChecksums,
  signal: AbortSignal,
): Promise<number[]> {
  const slice = new TimeSlice(2);
  const changed: number[] = [];
  for (let page = 1; page <= source.commit; page += 1) {
    if (page === source.lockPage) continue;
    if (!checksums.matches(page, source.page(page))) changed.push(page);
    if (!slice.isOver) continue;
    await slice.yield();
    signal.throwIfAborted();
  }
  return changed;
}

/**
 * Sets the checksums of pages that are not as expected to what is there. Returns how many there are: none while a change is under
 * way. Rejects as `scrubPages` does.
 */
export async function noteChangedPages(
  { source, recalled }: PinnedPages,
  expected: PageChecksums,
  checksums: PageChecksums,
): Promise<number> {
  const changed = await scrubPages(source, expected, recalled);
  if (checksums.isNoting) return 0;
  for (const page of changed) {
    // A page that was applied meanwhile is right again.
    const isAsExpected = checksums.equalsAt(page, expected.highAt(page), expected.lowAt(page));
    if (isAsExpected) checksums.setPage(page, source.page(page));
  }
  return changed.length;
}

/** Runs a scrub now and then, one at a time. */
export class Scrubbing {
  readonly #warn: (message: string, fields: Record<string, unknown>) => void;
  #dueAtMs = monotonicMs() + intervalMs;
  #running: Promise<void> | undefined;

  constructor(warn: (message: string, fields: Record<string, unknown>) => void) {
    this.#warn = warn;
  }

  runIfDue(scrub: () => Promise<void>): void {
    if (this.#running || monotonicMs() < this.#dueAtMs) return;
    this.#running = scrub()
      .catch((error: unknown) => this.#warn('the pages could not be checked', { reason: messageOf(error) }))
      .finally(() => {
        this.#running = undefined;
        this.#dueAtMs = monotonicMs() + intervalMs;
      });
  }

  /** Resolves when no scrub runs. */
  get settled(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }
}
