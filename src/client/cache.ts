import { BusError } from './bus-error.ts';
import { bodyBytesMax, keyCharactersMax, nameCharactersMax } from './bus-frames.ts';
import { Caches, type LocalCache } from './caches.ts';
import { processConnection } from './connection.ts';
import { timeToLiveMs } from './time-to-live.ts';

const ttlDefault = '1h';
const maxBytesDefault = 16 << 20;
const maxBytesLeast = 1 << 10;
const maxBytesMost = 1 << 30;

export type CacheOptions = {
  /** How long a value lives, in ms or as a text like `30s`; an hour unless set. */
  readonly ttl?: number | string;
  /** What this process keeps at most, about: keys, JSON and 120 bytes for each. 16 MiB unless set. Least recently used go first. */
  readonly maxBytes?: number;
};

/** Values that every process of every node has in its memory. The last one to set a key wins everywhere. */
export class Cache<Value> {
  readonly name: string;
  readonly #caches: Caches;
  readonly #local: LocalCache;

  /** To be had by `cache`. */
  constructor(name: string, caches: Caches, local: LocalCache) {
    this.name = name;
    this.#caches = caches;
    this.#local = local;
  }

  /** From this process's memory; undefined when there is no value, or its time is over. It is frozen. */
  get(key: string): Value | undefined {
    return this.#local.entries.get(key) as Value | undefined;
  }

  has(key: string): boolean {
    return this.#local.entries.has(key);
  }

  /** Here at once, and everywhere soon. Throws `USAGE`, `PAYLOAD_TOO_LARGE`, and what JSON does not take. */
  set(key: string, value: Value, options: { readonly ttl?: number | string } = {}): void {
    requireKey(key);
    const text = JSON.stringify(value);
    if (text === undefined)
      throw new BusError(
        'USAGE',
        `Cache ${this.name}: ${key} was given nothing that JSON has. Use delete to remove it.`,
      );
    if (text.length > bodyBytesMax || Buffer.byteLength(text) > bodyBytesMax) {
      throw new BusError(
        'PAYLOAD_TOO_LARGE',
        `Cache ${this.name}: the value of ${key} takes over ${bodyBytesMax} bytes of JSON. Cache smaller parts.`,
      );
    }
    const leftMs = options.ttl === undefined ? this.#local.ttlMs : timeToLiveMs(options.ttl);
    this.#caches.put(this.#local, key, text, leftMs);
  }

  /** Here at once, and everywhere soon, also where the value has not come yet. Throws `USAGE`. */
  delete(key: string): void {
    requireKey(key);
    this.#caches.put(this.#local, key, undefined, 0);
  }

  /** Takes everything away that was set before, on all nodes. */
  clear(): void {
    this.#caches.clear(this.#local);
  }

  /** Keys that have a value here, the least recently used first. */
  keys(): string[] {
    return this.#local.entries.keys();
  }

  /** What this process's copy takes, about. */
  get bytes(): number {
    return this.#local.entries.bytes;
  }

  /** Calls the listener after each change, whoever made it, with the key; with undefined after `clear`. Returns what ends that. */
  onChange(listener: (key: string | undefined) => void): () => void {
    this.#local.listeners.add(listener);
    return () => this.#local.listeners.delete(listener);
  }
}

function requireKey(key: string): void {
  if (typeof key === 'string' && key.length > 0 && key.length <= keyCharactersMax) return;
  throw new BusError('USAGE', `A key of a cache is a text of 1 to ${keyCharactersMax} characters.`);
}

let shared: Caches | undefined;

/**
 * The cache of this name: of each process a copy in memory, kept in step through the nodes, also while nobody leads. A process that
 * begins later gets what its node has. Values are JSON. Throws `USAGE` and `BUS_OVERLOADED`.
 */
export function cache<Value = unknown>(name: string, options: CacheOptions = {}): Cache<Value> {
  const { ttl = ttlDefault, maxBytes = maxBytesDefault } = options;
  if (name.length === 0 || name.length > nameCharactersMax)
    throw new BusError('USAGE', `A cache's name has 1 to ${nameCharactersMax} characters.`);
  if (!(maxBytes >= maxBytesLeast && maxBytes <= maxBytesMost))
    throw new BusError('USAGE', `maxBytes: a cache has ${maxBytesLeast} to ${maxBytesMost} bytes.`);
  shared ??= new Caches(processConnection());
  return new Cache<Value>(name, shared, shared.open(name, timeToLiveMs(ttl), maxBytes));
}
