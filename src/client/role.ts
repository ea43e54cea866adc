import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { askRoleNow } from './ask-role-now.ts';
import type { NodeApi } from './node-api.ts';
import { type Leadership, type NodeEvent, nodeEvents } from './node-events.ts';
import type { Place } from './place.ts';

/** A node that did not answer is not waited for again within this time. */
const askAgainMs = 1_000;

/** What this process knows of its node's role, and of each change: by the node's events, which are heard from the first question on. */
export class Role {
  readonly #place: Place;
  readonly #api: NodeApi;
  readonly #primaryFile: string;
  #leadership: Leadership | undefined;
  #isListening = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  readonly #listeners = new Set<(event: NodeEvent) => void>();

  /** `heard` is told of every event, and does not start the hearing. */
  constructor(place: Place, api: NodeApi, heard: (event: NodeEvent) => void) {
    this.#listeners.add(heard);
    this.#place = place;
    this.#api = api;
    this.#primaryFile = join(place.directory, '.primary');
  }

  /** The first question of a process waits for the node's answer, some 20 ms; all others are answered from memory. */
  get isPrimary(): boolean {
    return this.#known().isPrimary;
  }

  /** The primary's name, this node's own if it leads; undefined while a replica is not connected. */
  get primary(): string | undefined {
    const { isPrimary, hostname } = this.#known();
    return isPrimary ? this.#place.node : hostname;
  }

  /**
   * Looks at the file system, for code that keeps the events from being heard: true if this node certainly follows another.
   * False says nothing: the file is missing also on a replica that is not connected.
   */
  followsNow(): boolean {
    if (!existsSync(this.#primaryFile)) return false;
    if (this.#leadership?.isPrimary) this.#take({ type: 'primaryChange', data: { isPrimary: false } });
    return true;
  }

  /** The same by asking the node, which takes some 20 ms. False also where it does not answer. */
  followsByAsking(): boolean {
    const leadership = askRoleNow(this.#place);
    if (!leadership || leadership.isPrimary) return false;
    if (this.#leadership?.isPrimary) this.#take({ type: 'primaryChange', data: leadership });
    return true;
  }

  /** Called at every event of the node, and at once for none. Returns what ends it. */
  onEvent(listener: (event: NodeEvent) => void): () => void {
    this.#listen();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves at the next change of who leads, or after `timeoutMs`. */
  changed(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const stop = this.onEvent(({ type }) => {
        if (type !== 'tx') end();
      });
      const timer = setTimeout(end, timeoutMs);
    });
  }

  #known(): Leadership {
    if (this.#leadership) return this.#leadership;
    this.#listen();
    if (existsSync(this.#primaryFile)) return { isPrimary: false };
    // A node that does not answer is no primary to write on.
    if (performance.now() - this.#askedMs < askAgainMs) return { isPrimary: false };
    this.#askedMs = performance.now();
    const leadership = askRoleNow(this.#place);
    if (leadership === undefined) return { isPrimary: false };
    this.#leadership = leadership;
    return leadership;
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    void this.#hear();
  }

  async #hear(): Promise<void> {
    for await (const event of nodeEvents(this.#api, new AbortController().signal)) this.#take(event);
  }

  #take(event: NodeEvent): void {
    // Others, of newer nodes too, say nothing of the role.
    if (event.type === 'init' || event.type === 'primaryChange') this.#leadership = event.data;
    for (const listener of this.#listeners) listener(event);
  }
}
