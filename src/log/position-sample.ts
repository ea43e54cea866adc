import { SkeinError } from '../base/errors.ts';
import type { Position, Txid } from '../ltx/position.ts';
import { positionAfter } from './record.ts';
import type { Segment } from './segment.ts';

/** How far apart the places are that are taken, counted from the newest: each this much further than the one before. */
const spread = 1.3;

/**
 * Positions of a chain of segments up to a TXID, newest first: the last `max / 2` before it, where one stretch of 256 KiB or two
 * hold them, then ever fewer the older they are, and the oldest. At most `max`, which is 4 or more. Damaged records are
 * left out. What it reads does not grow with the log: some thousands of record heads at most.
 */
export function samplePositions(segments: readonly Segment[], upTo: Txid, max: number): Position[] {
  const places = segments
    .flatMap((segment) => Array.from({ length: segment.placeCount }, (_, place) => ({ segment, place })))
    .filter(({ segment, place }) => segment.txidAt(place) <= upTo);
  const found = new Map<string, Position>();
  const add = (position: Position | undefined) => {
    if (position) found.set(`${position.txid}/${position.checksum}`, position);
  };
  for (const position of lastPositions(places.slice(-2), upTo, Math.floor(max / 2))) add(position);
  const [oldest] = places;
  if (oldest) add(oldest.segment.positionAt(oldest.place));
  for (let back = 1; back <= places.length && found.size < max; back = Math.ceil(back * spread)) {
    const { segment, place } = places[places.length - back];
    add(segment.positionAt(place));
  }
  return [...found.values()].sort((one, other) => other.txid - one.txid);
}

/** The newest positions up to `upTo` after the places, which follow one another. */
function lastPositions(
  places: readonly { readonly segment: Segment; readonly place: number }[],
  upTo: Txid,
  max: number,
): Position[] {
  const positions: Position[] = [];
  const read = new Set<Segment>();
  for (const { segment, place } of places) {
    if (read.has(segment)) continue;
    read.add(segment);
    try {
      for (const record of segment.recordsFrom(place)) {
        if (record.header.maxTxid > upTo) break;
        positions.push(positionAfter(record));
      }
    } catch (error) {
      if (!(error instanceof SkeinError && error.code === 'LOG_CORRUPT')) throw error;
    }
  }
  return positions.slice(-max);
}
