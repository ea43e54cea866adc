import type { CacheEntries } from './cache-entries.ts';
import type { Line } from './line-socket.ts';

const tombstoneMsLeast = 60_000;
const tombstoneMsMost = 3_600_000;

/** All that a copy of a cache knows, as frames. */
export function* cacheLines(cache: string, entries: CacheEntries): Generator<Line> {
  const { cleared } = entries;
  if (cleared) yield { head: { t: 'clear', cache, stamp: cleared } };
  for (const { key, stamp, text, leftMs } of entries.changes())
    yield { head: { t: 'put', cache, key, stamp, left: leftMs }, body: text };
}

/** For as long as an older value may still live somewhere: a copy that was cut off must not bring it back. An hour at most. */
export function tombstoneMsOf(ttlMs: number): number {
  return Math.min(tombstoneMsMost, Math.max(tombstoneMsLeast, ttlMs));
}
