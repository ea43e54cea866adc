import { randomUUID } from 'node:crypto';
import { BusError } from './bus-error.ts';
import type { CacheFrame, Stamp } from './bus-frames.ts';
import { type CacheChange, CacheEntries } from './cache-entries.ts';
import { cacheLines, tombstoneMsOf } from './cache-lines.ts';
import type { Connection } from './connection.ts';
import { HybridClock } from './hybrid-clock.ts';

const cachesMax = 64;
const sweepMs = 1_000;
/** How long after changes were dropped all of the cache is sent. */
const resendMs = 200;

/** One cache as this process has it. */
export type LocalCache = {
  readonly name: string;
  readonly entries: CacheEntries;
  readonly ttlMs: number;
  readonly maxBytes: number;
  /** Called after every change, with the key; with undefined when it was cleared. */
  readonly listeners: Set<(key: string | undefined) => void>;
};

/** The caches of one process: each a copy of its own, kept in step with that of the node. */
export class Caches {
  readonly #connection: Connection | undefined;
  readonly #clock: HybridClock;
  readonly #caches = new Map<string, LocalCache>();
  readonly #resending = new Set<LocalCache>();

  constructor(connection: Connection | undefined) {
    this.#connection = connection;
    this.#clock = connection?.clock ?? new HybridClock(randomUUID());
    connection?.on('put', (frame, text) => this.#takePut(frame, text));
    connection?.on('clear', ({ cache: name, stamp }) => this.#takeClear(name, stamp));
  }

  /** Throws `USAGE` for other options than the first time, and `BUS_OVERLOADED`. */
  open(name: string, ttlMs: number, maxBytes: number): LocalCache {
    const known = this.#caches.get(name);
    if (known) {
      if (known.ttlMs === ttlMs && known.maxBytes === maxBytes) return known;
      throw new BusError(
        'USAGE',
        `Cache ${name} was opened with another ttl or maxBytes in this process before. Give it the same ones everywhere.`,
      );
    }
    if (this.#caches.size >= cachesMax)
      throw new BusError('BUS_OVERLOADED', `This process has ${cachesMax} caches already. Use fewer.`);
    const entries = new CacheEntries({ maxBytes, tombstoneMs: tombstoneMsOf(ttlMs) });
    const cache: LocalCache = { name, entries, ttlMs, maxBytes, listeners: new Set() };
    this.#caches.set(name, cache);
    if (this.#caches.size === 1) this.#begin();
    else this.#announce(cache);
    return cache;
  }

  put(cache: LocalCache, key: string, text: string | undefined, leftMs: number): void {
    const change: CacheChange = { key, stamp: this.#clock.next(), text, leftMs };
    cache.entries.apply(change);
    const frame = { t: 'put', cache: cache.name, key, stamp: change.stamp, left: leftMs } as const;
    this.#connection?.send(frame, text, () => this.#resend(cache));
    tell(cache, key);
  }

  clear(cache: LocalCache): void {
    const stamp = this.#clock.next();
    cache.entries.clear(stamp);
    this.#connection?.send({ t: 'clear', cache: cache.name, stamp });
    tell(cache, undefined);
  }

  #begin(): void {
    setInterval(() => {
      for (const { entries } of this.#caches.values()) entries.sweep();
    }, sweepMs).unref();
    this.#connection?.add({
      opened: () => {
        for (const cache of this.#caches.values()) this.#announce(cache);
      },
      closed: () => undefined,
    });
  }

  /** Each side sends the other what it has; what was set while there was no link goes with that. */
  #announce(cache: LocalCache): void {
    const { name, ttlMs, maxBytes, entries } = cache;
    this.#connection?.send({ t: 'open', cache: name, ttlMs, maxBytes, digest: entries.digest });
    this.#connection?.feed(cacheLines(name, entries));
  }

  #resend(cache: LocalCache): void {
    if (this.#resending.has(cache)) return;
    this.#resending.add(cache);
    setTimeout(() => {
      this.#resending.delete(cache);
      // Without a link it is sent when there is one.
      if (this.#connection?.hasRoom) this.#connection.feed(cacheLines(cache.name, cache.entries));
      else if (this.#connection?.isOpen) this.#resend(cache);
    }, resendMs).unref();
  }

  #takePut(frame: Extract<CacheFrame, { t: 'put' }>, text: string | undefined): void {
    const { cache: name, key, stamp, left } = frame;
    this.#clock.observe(stamp);
    const cache = this.#caches.get(name);
    if (cache?.entries.apply({ key, stamp, text, leftMs: left })) tell(cache, key);
  }

  #takeClear(name: string, stamp: Stamp): void {
    this.#clock.observe(stamp);
    const cache = this.#caches.get(name);
    if (cache?.entries.clear(stamp)) tell(cache, undefined);
  }
}

function tell(cache: LocalCache, key: string | undefined): void {
  for (const listener of cache.listeners) listener(key);
}
