import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultNode } from './fault-node.ts';
import type { Disaster } from './plan.ts';
import type { Timeline } from './timeline.ts';
import type { World } from './world.ts';

/** How long a node that has lost something has the world to itself: longer than the TTL. */
const aloneMs = 3_500;

/** Takes a node's data away, or the store's, while nothing else is wrong. */
export class Disasters {
  readonly #world: World;
  readonly #timeline: Timeline;

  constructor(world: World, timeline: Timeline) {
    this.#world = world;
    this.#timeline = timeline;
  }

  /** Puts a copy of a node's directory aside, for `restore`. The node is stopped meanwhile. */
  async copy(node: FaultNode): Promise<void> {
    this.#timeline.add(`${node.name} is stopped and copied`);
    await node.node.stop();
    rmSync(this.#copyOf(node), { recursive: true, force: true });
    cpSync(node.node.databases, this.#copyOf(node), { recursive: true });
    await node.node.start();
  }

  async do(disaster: Disaster, victim: FaultNode): Promise<void> {
    const { kind, ...details } = disaster;
    this.#timeline.add(`${kind} ${kind === 'empty-store' ? '' : victim.name} ${JSON.stringify(details)}`);
    if (kind === 'empty-store') return this.#world.store.empty();
    if (kind === 'restore') return this.#restore(victim, disaster.stopsAll);
    await this.#startFirst(victim, disaster.kills, () => empty(victim.node.databases));
  }

  async #restore(victim: FaultNode, stopsAll: boolean): Promise<void> {
    const restore = () => {
      if (!existsSync(this.#copyOf(victim))) return;
      empty(victim.node.databases);
      cpSync(this.#copyOf(victim), victim.node.databases, { recursive: true });
    };
    if (stopsAll) return this.#startFirst(victim, true, restore);
    await victim.node.kill();
    restore();
    await victim.node.start();
  }

  async #startFirst(victim: FaultNode, kills: boolean, change: () => void): Promise<void> {
    const { nodes } = this.#world;
    await Promise.all(nodes.map(({ node }) => (kills ? node.kill() : node.stop())));
    change();
    victim.node.launch();
    await delay(aloneMs);
    this.#timeline.add('the others start');
    await Promise.all(nodes.map((node) => (node === victim ? undefined : node.node.start())));
  }

  #copyOf({ name }: FaultNode): string {
    return join(this.#world.directory, `copy-of-${name}`);
  }
}

/** Keeps the directory itself, which may be on a disk of its own. */
function empty(directory: string): void {
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
}
