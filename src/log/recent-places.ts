import { type Position, positionsEqual, type Txid } from '../ltx/position.ts';
import type { Segment } from './segment.ts';

/** A place between two records, from which to read on. */
export type LogCursor = { readonly position: Position; readonly segment: Segment; readonly offset: number };

/** About one second of small transactions: what somebody waits for, or a replica that was away for a moment asks for. */
const placesMax = 1_024;

/** Where the newest records of a log end, so that the usual question is answered without reading. */
export class RecentPlaces {
  readonly #places = new Map<Txid, LogCursor>();

  add(place: LogCursor): void {
    this.#places.set(place.position.txid, place);
    if (this.#places.size <= placesMax) return;
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest);
      return;
    }
  }

  /** Undefined for a position that is not known here, which says nothing of the log. */
  find(position: Position): LogCursor | undefined {
    const place = this.#places.get(position.txid);
    return place && !place.segment.isClosed && positionsEqual(place.position, position) ? place : undefined;
  }

  clear(): void {
    this.#places.clear();
  }
}
