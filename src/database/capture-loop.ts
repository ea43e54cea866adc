import { type FSWatcher, watch } from 'node:fs';
import { monotonicMs } from '../base/clock.ts';
import { isDatabaseName } from './data-directory.ts';

/** From this many commits in one capture on, being woken for each costs more than looking now and then. */
const busyCommits = 8;
/** Time between looks. Each costs about as much as 40 commits do: at 1 ms the app would feel it, at 4 ms it does not. */
const pollMs = 4;
/** Time between looks where the kernel reports nothing. */
const unwatchedPollMs = 25;
/** Below this rate over `calmPolls` looks in a row, changes are waited for again. */
const calmCommitsPerMs = 2;
const calmPolls = 3;
/**
 * A write is reported before its commit is: SQLite writes the frames, waits for the disk when it is told to, and only
 * then the wal-index, of which the kernel reports nothing. So a wake that found nothing looks again after these.
 */
const secondLooksMs = [1, 1, 2, 4, 8, 16, 32, 64, 128, 256] as const;
/** A change that no event told of (its directory is watched, but an event queue can overflow) is found after this. */
const sweepMs = 1_000;

export type CaptureLoopHandlers = {
  /** Captures one database; returns the number of commits. Never rejects. */
  capture(name: string): Promise<number>;
  /** The names to capture. */
  names(): readonly string[];
  /** A database may have come or gone. */
  changed(): void;
  /** The directory cannot be watched; it is looked at every 25 ms. */
  unwatched(reason: unknown): void;
};

/**
 * Decides when to look at the app's databases: at once when the kernel reports a write, and every few milliseconds,
 * without asking the kernel, while there are so many writes that each batch holds several.
 */
export class CaptureLoop {
  readonly #directory: string;
  readonly #handlers: CaptureLoopHandlers;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #isPolling = false;
  #calm = 0;
  #polledAtMs = 0;
  #stopped = false;
  readonly #running = new Map<string, boolean>();
  /** By database: the second look that is due, and which of them it is. */
  readonly #secondLooks = new Map<string, { timer: NodeJS.Timeout; look: number }>();

  constructor(directory: string, handlers: CaptureLoopHandlers) {
    this.#directory = directory;
    this.#handlers = handlers;
  }

  start(): void {
    if (!this.#watch()) this.#startPolling();
    this.#sweep = setInterval(() => {
      this.#handlers.changed();
      if (this.#isPolling) return;
      if (!this.#watch()) this.#startPolling();
      for (const name of this.#handlers.names()) void this.#wake(name);
    }, sweepMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#sweep);
    for (const { timer } of this.#secondLooks.values()) clearTimeout(timer);
    this.#unwatch();
  }

  /** False when the kernel has no watch to give (`fs.inotify.max_user_watches`); then looking has to do. */
  #watch(): boolean {
    if (this.#stopped || this.#watcher) return true;
    try {
      this.#watcher = watch(this.#directory, (event, file) => {
        if (file === null) return;
        if (file.endsWith('-wal')) {
          void this.#wake(file.slice(0, -4), 0);
        } else if (event === 'rename' && isDatabaseName(file)) {
          this.#handlers.changed();
        }
      });
    } catch (error) {
      this.#handlers.unwatched(error);
      return false;
    }
    // The sweep looks without it, and tries to watch again.
    this.#watcher.on('error', () => this.#unwatch());
    return true;
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /**
   * One capture at a time for each database; a wake during one makes it look once more. `look` is the second look that
   * comes next if this finds nothing; without it, none does.
   */
  async #wake(name: string, look?: number): Promise<void> {
    if (this.#running.has(name)) {
      this.#running.set(name, true);
      return;
    }
    this.#running.set(name, true);
    let commits = 0;
    while (this.#running.get(name) && !this.#stopped) {
      this.#running.set(name, false);
      commits = await this.#handlers.capture(name);
      if (commits >= busyCommits && this.#watcher) {
        this.#unwatch();
        this.#startPolling();
      }
    }
    this.#running.delete(name);
    if (look !== undefined) this.#lookAgain(name, commits > 0 ? undefined : look);
  }

  /** Plans the second look; undefined: what was reported has been found. */
  #lookAgain(name: string, look: number | undefined): void {
    const planned = this.#secondLooks.get(name);
    if (look !== undefined && planned && planned.look <= look) return;
    clearTimeout(planned?.timer);
    this.#secondLooks.delete(name);
    if (look === undefined || look >= secondLooksMs.length || this.#stopped) return;
    const timer = setTimeout(() => {
      this.#secondLooks.delete(name);
      void this.#wake(name, look + 1);
    }, secondLooksMs[look]);
    this.#secondLooks.set(name, { timer, look });
  }

  #startPolling(): void {
    this.#isPolling = true;
    this.#calm = 0;
    this.#polledAtMs = monotonicMs();
    this.#timer = setTimeout(() => void this.#poll(), pollMs);
  }

  async #poll(): Promise<void> {
    const counts = await Promise.all(this.#handlers.names().map((name) => this.#handlers.capture(name)));
    const commits = counts.reduce((sum, count) => sum + count, 0);
    if (this.#stopped) return;
    const nowMs = monotonicMs();
    const isCalm = commits < calmCommitsPerMs * (nowMs - this.#polledAtMs);
    this.#polledAtMs = nowMs;
    this.#calm = isCalm ? this.#calm + 1 : 0;
    if (this.#calm < calmPolls) {
      this.#timer = setTimeout(() => void this.#poll(), pollMs);
      return;
    }
    if (!this.#watch()) {
      this.#timer = setTimeout(() => void this.#poll(), unwatchedPollMs);
      return;
    }
    this.#isPolling = false;
    // What came between the last look and the watch.
    for (const name of this.#handlers.names()) void this.#wake(name, 0);
  }
}
