import { SkeinError } from '../base/errors.ts';
import { CacheEntries } from '../client/cache-entries.ts';
import { cacheLines, tombstoneMsOf } from '../client/cache-lines.ts';
import type { HybridClock } from '../client/hybrid-clock.ts';
import type { FromPeer, FromProcess } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import type { ProcessLink } from './process-link.ts';

const cachesMax = 64;
const sweepMs = 1_000;
/** How long after changes were dropped on their way to somebody the whole cache is sent. */
const resendMs = 200;

type NodeCache = {
  readonly name: string;
  readonly entries: CacheEntries;
  readonly processes: Set<ProcessLink>;
};
type Put = Extract<FromProcess | FromPeer, { t: 'put' }>;
type Clear = Extract<FromProcess | FromPeer, { t: 'clear' }>;

/** This node's copy of each cache that one of its processes has opened; it outlives those processes. */
export class Caches {
  readonly #links: () => readonly PeerLink[];
  readonly #clock: HybridClock;
  readonly #caches = new Map<string, NodeCache>();
  /** To whom changes were lost on their way. */
  readonly #incomplete = new Map<ProcessLink | PeerLink, Set<string>>();
  #sweep: NodeJS.Timeout | undefined;
  #resending: NodeJS.Timeout | undefined;

  constructor(links: () => readonly PeerLink[], clock: HybridClock) {
    this.#links = links;
    this.#clock = clock;
  }

  start(): void {
    this.#sweep = setInterval(() => {
      for (const { entries } of this.#caches.values()) entries.sweep();
    }, sweepMs);
  }

  stop(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#resending);
  }

  sizes(): { readonly name: string; readonly entries: number; readonly bytes: number }[] {
    return [...this.#caches.values()].map(({ name, entries }) => ({
      name,
      entries: entries.size,
      bytes: entries.bytes,
    }));
  }

  /** Throws `BUS_OVERLOADED`. */
  open(process: ProcessLink, frame: Extract<FromProcess, { t: 'open' }>): void {
    const { cache: name, ttlMs, maxBytes, digest } = frame;
    let cache = this.#caches.get(name);
    if (cache) {
      cache.entries.widen(maxBytes, tombstoneMsOf(ttlMs));
    } else {
      if (this.#caches.size >= cachesMax)
        throw new SkeinError('BUS_OVERLOADED', `This node has ${cachesMax} caches already. Use fewer.`);
      const entries = new CacheEntries({ maxBytes, tombstoneMs: tombstoneMsOf(ttlMs) });
      cache = { name, entries, processes: new Set() };
      this.#caches.set(name, cache);
      for (const link of this.#links()) link.send({ t: 'keep', cache: name, digest: entries.digest });
    }
    cache.processes.add(process);
    if (digest !== cache.entries.digest) process.feed(cacheLines(name, cache.entries));
  }

  /** From a process of this node: for all others that have the cache. */
  putFromProcess(process: ProcessLink, frame: Put, text: string | undefined): void {
    const cache = this.#apply(frame, text, process);
    if (!cache) return;
    for (const link of this.#links()) {
      if (link.kept.has(cache.name)) link.send({ ...frame }, text, () => this.#lost(link, cache.name));
    }
  }

  /** From another node, which tells all others itself. */
  putFromPeer(frame: Put, text: string | undefined): void {
    this.#apply(frame, text, undefined);
  }

  clearFromProcess(process: ProcessLink, frame: Clear): void {
    const cache = this.#clear(frame);
    if (!cache) return;
    for (const other of cache.processes) if (other !== process) other.send({ ...frame });
    for (const link of this.#links()) if (link.kept.has(cache.name)) link.send({ ...frame });
  }

  clearFromPeer(frame: Clear): void {
    for (const process of this.#clear(frame)?.processes ?? []) process.send({ ...frame });
  }

  /** The other node keeps a copy too. */
  keep(link: PeerLink, name: string, digest: string): void {
    link.kept.add(name);
    const cache = this.#caches.get(name);
    if (cache && cache.entries.digest !== digest) link.feed(cacheLines(name, cache.entries));
  }

  up(link: PeerLink): void {
    for (const { name, entries } of this.#caches.values())
      link.send({ t: 'keep', cache: name, digest: entries.digest });
  }

  down(link: PeerLink): void {
    this.#incomplete.delete(link);
  }

  processGone(process: ProcessLink): void {
    for (const { processes } of this.#caches.values()) processes.delete(process);
    this.#incomplete.delete(process);
  }

  /** Tells the processes. Returns the cache, if there is one here and the change may be news to others. */
  #apply(frame: Put, text: string | undefined, from: ProcessLink | undefined): NodeCache | undefined {
    const { key, stamp, left } = frame;
    // Nothing could take its place for as long as it is ahead.
    if (!this.#clock.isPlausible(stamp[0])) return undefined;
    this.#clock.observe(stamp);
    const cache = this.#caches.get(frame.cache);
    if (!cache) return undefined;
    if (cache.entries.apply({ key, stamp, text, leftMs: left })) {
      this.#tellProcesses(cache, from, frame, text);
      return cache;
    }
    if (!cache.entries.mayBeNews({ key, stamp })) return undefined;
    // This node has forgotten the key, and cannot tell whether a deletion came after this. A process may have an older value, which
    // it is to drop: a miss is no harm.
    this.#tellProcesses(cache, from, { ...frame, left: 0 }, undefined);
    return cache;
  }

  #clear({ cache: name, stamp }: Clear): NodeCache | undefined {
    if (!this.#clock.isPlausible(stamp[0])) return undefined;
    this.#clock.observe(stamp);
    const cache = this.#caches.get(name);
    return cache?.entries.clear(stamp) ? cache : undefined;
  }

  #tellProcesses(
    cache: NodeCache,
    except: ProcessLink | undefined,
    frame: Put,
    text: string | undefined,
  ): void {
    for (const process of cache.processes)
      if (process !== except) process.send({ ...frame }, text, () => this.#lost(process, cache.name));
  }

  #lost(to: ProcessLink | PeerLink, name: string): void {
    const names = this.#incomplete.get(to) ?? new Set<string>();
    this.#incomplete.set(to, names.add(name));
    this.#resending ??= setTimeout(() => this.#resend(), resendMs);
  }

  #resend(): void {
    this.#resending = undefined;
    for (const [to, names] of this.#incomplete) {
      if (!to.hasRoom) continue;
      this.#incomplete.delete(to);
      for (const name of names) {
        const cache = this.#caches.get(name);
        if (cache) to.feed(cacheLines(name, cache.entries));
      }
    }
    if (this.#incomplete.size > 0) this.#resending = setTimeout(() => this.#resend(), resendMs);
  }
}
