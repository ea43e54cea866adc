import type { Stamp } from './bus-frames.ts';
import { frozen } from './frozen.ts';
import { compareStamps } from './hybrid-clock.ts';

/** One value as it travels: its JSON, undefined for one that was deleted, and how long it has to live. */
export type CacheChange = {
  readonly key: string;
  readonly stamp: Stamp;
  readonly text: string | undefined;
  readonly leftMs: number;
};

export type CacheEntriesOptions = {
  readonly maxBytes: number;
  /** How long a key that was deleted or has expired is remembered as such. */
  readonly tombstoneMs: number;
  /** A clock that never steps back. */
  readonly nowMs?: () => number;
};

type Entry = {
  readonly stamp: Stamp;
  /** Undefined once deleted or expired. */
  text: string | undefined;
  value: unknown;
  isParsed: boolean;
  endsMs: number;
};

/** What an entry takes beside its key and its JSON, about. */
const entryBytes = 120;
const bucketMs = 1_000;

/**
 * One copy of a cache. Copies that got the same changes, in whatever order and however often, hold the same: the newest stamp of a
 * key wins. Where memory or time has made a copy forget a key, nothing older than what it forgot comes back: a miss is no harm.
 */
export class CacheEntries {
  #maxBytes: number;
  #tombstoneMs: number;
  readonly #nowMs: () => number;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  /** By second: the keys that end in it. */
  readonly #ends = new Map<number, Set<string>>();
  #sweptTo: number;
  #bytes = 0;
  /** Everything up to here was cleared, on all copies. */
  #cleared: Stamp | undefined;
  /** The newest stamp that this copy has forgotten. */
  #forgotten: Stamp | undefined;
  #digest = 0;

  constructor({ maxBytes, tombstoneMs, nowMs = () => performance.now() }: CacheEntriesOptions) {
    this.#maxBytes = maxBytes;
    this.#tombstoneMs = tombstoneMs;
    this.#nowMs = nowMs;
    this.#sweptTo = bucketOf(nowMs());
  }

  /** Of keys, those too that were deleted and are remembered as such. */
  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get cleared(): Stamp | undefined {
    return this.#cleared;
  }

  /** Equal for copies that hold the same, deletions included. */
  get digest(): string {
    return `${this.size}:${this.#digest >>> 0}:${this.#cleared?.join(',') ?? ''}`;
  }

  /** The most that one of its users wants. */
  widen(maxBytes: number, tombstoneMs: number): void {
    this.#maxBytes = Math.max(this.#maxBytes, maxBytes);
    this.#tombstoneMs = Math.max(this.#tombstoneMs, tombstoneMs);
  }

  /** The value, frozen: it is the same object each time. */
  get(key: string): unknown {
    const entry = this.#entries.get(key);
    if (entry?.text === undefined || entry.endsMs <= this.#nowMs()) return undefined;
    if (!entry.isParsed) {
      entry.value = frozen(JSON.parse(entry.text));
      entry.isParsed = true;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Whether there is a value, without counting as a use. */
  has(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry?.text !== undefined && entry.endsMs > this.#nowMs();
  }

  /** Keys with a value, least recently used first. */
  keys(): string[] {
    return [...this.#entries.keys()].filter((key) => this.has(key));
  }

  /** False when something newer is known. */
  apply({ key, stamp, text, leftMs }: CacheChange): boolean {
    if (this.#cleared && compareStamps(stamp, this.#cleared) <= 0) return false;
    const before = this.#entries.get(key);
    const bar = before ? before.stamp : this.#forgotten;
    if (bar && compareStamps(stamp, bar) <= 0) return false;
    if (before) this.#remove(key, before);
    const isGone = text === undefined || leftMs <= 0;
    const endsMs = this.#nowMs() + (isGone ? this.#tombstoneMs : leftMs);
    const entry: Entry = {
      stamp,
      text: isGone ? undefined : text,
      value: undefined,
      isParsed: false,
      endsMs,
    };
    // One that alone is too large would drive out all others.
    if (bytesOf(key, entry) > this.#maxBytes) this.#forget(stamp);
    else this.#add(key, entry);
    this.#evict();
    return true;
  }

  /**
   * Whether a change that this copy does not take may be news to another: it has forgotten the key, or what was newer. The other may
   * have an older value still.
   */
  mayBeNews({ key, stamp }: Pick<CacheChange, 'key' | 'stamp'>): boolean {
    if (this.#cleared && compareStamps(stamp, this.#cleared) <= 0) return false;
    return !this.#entries.has(key);
  }

  /** Takes everything away that is not newer. False when a later one is known. */
  clear(stamp: Stamp): boolean {
    if (this.#cleared && compareStamps(stamp, this.#cleared) <= 0) return false;
    this.#cleared = stamp;
    for (const [key, entry] of this.#entries)
      if (compareStamps(entry.stamp, stamp) <= 0) this.#remove(key, entry);
    return true;
  }

  /** All that this copy knows, deletions too, least recently used first. What changes meanwhile may come or not. */
  *changes(): Generator<CacheChange> {
    for (const key of [...this.#entries.keys()]) {
      const entry = this.#entries.get(key);
      if (!entry) continue;
      const leftMs = Math.ceil(entry.endsMs - this.#nowMs());
      const isGone = entry.text === undefined || leftMs <= 0;
      yield { key, stamp: entry.stamp, text: isGone ? undefined : entry.text, leftMs: isGone ? 0 : leftMs };
    }
  }

  /** Drops values whose time is over; to be called every second or so. */
  sweep(): void {
    const nowMs = this.#nowMs();
    const last = bucketOf(nowMs) - 1;
    for (let bucket = this.#sweptTo; bucket <= last; bucket += 1) {
      const keys = this.#ends.get(bucket);
      this.#ends.delete(bucket);
      for (const key of keys ?? []) {
        const entry = this.#entries.get(key);
        if (entry) this.#end(key, entry, nowMs);
      }
    }
    this.#sweptTo = Math.max(this.#sweptTo, last + 1);
    this.#evict();
  }

  #end(key: string, entry: Entry, nowMs: number): void {
    this.#remove(key, entry);
    if (entry.text === undefined) {
      this.#forget(entry.stamp);
      return;
    }
    this.#add(key, {
      stamp: entry.stamp,
      text: undefined,
      value: undefined,
      isParsed: false,
      endsMs: nowMs + this.#tombstoneMs,
    });
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes) {
      const first = this.#entries.entries().next();
      if (first.done) return;
      const [key, entry] = first.value;
      this.#remove(key, entry);
      this.#forget(entry.stamp);
    }
  }

  #forget(stamp: Stamp): void {
    if (!this.#forgotten || compareStamps(stamp, this.#forgotten) > 0) this.#forgotten = stamp;
  }

  #add(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    this.#bytes += bytesOf(key, entry);
    this.#digest ^= hashOf(key, entry.stamp);
    const bucket = Math.max(bucketOf(entry.endsMs), this.#sweptTo);
    const keys = this.#ends.get(bucket);
    if (keys) keys.add(key);
    else this.#ends.set(bucket, new Set([key]));
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= bytesOf(key, entry);
    this.#digest ^= hashOf(key, entry.stamp);
    const bucket = Math.max(bucketOf(entry.endsMs), this.#sweptTo);
    const keys = this.#ends.get(bucket);
    keys?.delete(key);
    if (keys?.size === 0) this.#ends.delete(bucket);
  }
}

function bucketOf(ms: number): number {
  return Math.floor(ms / bucketMs);
}

function bytesOf(key: string, entry: Entry): number {
  return key.length + (entry.text?.length ?? 0) + entryBytes;
}

/** FNV-1a over the key and the stamp. */
function hashOf(key: string, [ms, counter, writer]: Stamp): number {
  let hash = 0x811c9dc5;
  for (const text of [key, `${ms},${counter},`, writer])
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}
