import { setTimeout as delay } from 'node:timers/promises';
import { pause } from '../support/pause.ts';
import type { FaultNode } from './fault-node.ts';
import type { History } from './history.ts';
import type { Direction } from './link.ts';
import type { Fault, Target } from './plan.ts';
import type { Timeline } from './timeline.ts';
import type { World } from './world.ts';

/** Does faults to a world, and ends those that last when their time is over, or when all is to be healed. */
export class Faults {
  readonly #world: World;
  readonly #history: History;
  readonly #timeline: Timeline;
  readonly #ending = new Set<() => Promise<void>>();
  /** What nobody waits for: starts, handoffs, ends of faults. */
  readonly #underWay = new Set<Promise<void>>();
  #isStoreStopped = false;

  constructor(world: World, history: History, timeline: Timeline) {
    this.#world = world;
    this.#history = history;
    this.#timeline = timeline;
  }

  /** Resolves when it is done, or has begun if it lasts. */
  async begin(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'stop-store':
        return this.#stopStore(fault.forMs);
      case 'fill-disk':
        return this.#fillDisk(fault.forMs);
      case 'cut-link':
        return this.#cutLink(fault);
      default: {
        const node = await this.node(fault.target);
        // Not twice: what is frozen or down has its fault already.
        if (!node || node.isAway) return;
        const details = Object.entries(fault).filter(([key]) => key !== 'kind' && key !== 'target');
        this.#timeline.add(
          `${fault.kind} ${node.name}${fault.target === 'primary' ? ' (leads)' : ''} ${details.map(([key, value]) => `${key} ${value}`).join(', ')}`,
        );
        await this.#beginAt(node, fault);
      }
    }
  }

  /** Ends all that lasts, starts all that is down, and waits for it. */
  async heal(): Promise<void> {
    for (const end of [...this.#ending]) await end();
    await Promise.all(this.#underWay);
    await Promise.all(
      this.#world.nodes.map(({ node }) => (node.pid === undefined ? node.start() : undefined)),
    );
    this.#timeline.add('all is healed');
  }

  async node(target: Target): Promise<FaultNode | undefined> {
    return target === 'primary' ? this.#world.primary() : this.#world.nodes[target];
  }

  async #beginAt(
    node: FaultNode,
    fault: Exclude<Fault, { kind: 'stop-store' | 'fill-disk' | 'cut-link' }>,
  ): Promise<void> {
    switch (fault.kind) {
      case 'kill-node':
        return this.#away(node, async () => {
          await node.node.kill();
          await delay(300);
          await node.node.start();
        });
      case 'restart':
        return this.#away(node, async () => {
          await node.node.stop();
          await node.node.start();
        });
      case 'clock':
        return this.#away(node, async () => {
          await node.node.kill();
          await node.node.start({ SKEIN_TEST_CLOCK_OFFSET_MS: String(fault.offsetMs) });
        });
      case 'kill-app':
        for (const { pid } of (await node.status())?.processes ?? []) signal(pid, 'SIGKILL');
        return;
      case 'handoff':
        return this.#post(node, '/handoff', {});
      case 'promote':
        return this.#post(node, '/promote', {});
      case 'freeze-node':
      case 'freeze-both':
      case 'freeze-app':
        return this.#freeze(node, fault.kind, fault.forMs);
      case 'hold':
        node.holdMs = fault.forMs;
        return;
      case 'cut-store':
        this.#world.store.cut(node.name);
        return this.#lasts(`the lease store is there again for ${node.name}`, fault.forMs, () =>
          this.#world.store.heal(node.name),
        );
      case 'cut-node':
        return this.#cutNode(node, fault.direction, fault.forMs);
    }
  }

  /** The node is down or on its way for as long as this takes. */
  async #away(node: FaultNode, during: () => Promise<void>): Promise<void> {
    node.isAway = true;
    this.#do(async () => {
      await during();
      node.isAway = false;
      this.#timeline.add(`${node.name} is up again`);
    });
  }

  async #post(node: FaultNode, path: string, body: object): Promise<void> {
    this.#do(async () => {
      const answer = await node.post(path, body);
      this.#timeline.add(`${path} of ${node.name}: ${JSON.stringify(answer?.body)}`);
    });
  }

  async #freeze(
    node: FaultNode,
    kind: 'freeze-node' | 'freeze-both' | 'freeze-app',
    forMs: number,
  ): Promise<void> {
    const status = await node.status();
    const own = kind === 'freeze-app' ? [] : [status?.pid ?? null];
    const pids = [...own, ...(kind === 'freeze-node' ? [] : (status?.processes ?? []).map(({ pid }) => pid))];
    node.isAway = true;
    const thawed = own.length > 0 ? this.#history.froze(node.name) : undefined;
    // It may have ended by itself.
    for (const pid of own) if (pid !== null) await pause(pid).catch(() => undefined);
    for (const pid of pids.slice(own.length)) signal(pid, 'SIGSTOP');
    this.#lasts(`${node.name} goes on`, forMs, () => {
      // The app first: it may write before its node has found out.
      for (const pid of pids.toReversed()) signal(pid, 'SIGCONT');
      thawed?.();
      node.isAway = false;
    });
  }

  #cutLink({ from, to, direction, resets, forMs }: Extract<Fault, { kind: 'cut-link' }>): void {
    const [source, target] = [this.#world.nodes[from], this.#world.nodes[to]];
    if (!source || !target) return;
    this.#timeline.add(
      `cut-link ${source.name} to ${target.name} ${direction}${resets ? ', reset at the end' : ''}, for ${forMs} ms`,
    );
    this.#world.link(target).cut(source.name, direction);
    this.#lasts(`the link from ${source.name} to ${target.name} is whole`, forMs, () => {
      if (resets) this.#world.link(target).reset(source.name);
      this.#world.link(target).heal(source.name);
    });
  }

  #cutNode(node: FaultNode, direction: Direction, forMs: number): void {
    const others = this.#world.nodes.filter((other) => other !== node);
    for (const other of others) {
      this.#world.link(node).cut(other.name, direction);
      this.#world
        .link(other)
        .cut(node.name, direction === 'both' ? 'both' : direction === 'forth' ? 'back' : 'forth');
    }
    this.#lasts(`the links of ${node.name} are whole`, forMs, () => {
      for (const other of others) {
        this.#world.link(node).heal(other.name);
        this.#world.link(other).heal(node.name);
      }
    });
  }

  async #stopStore(forMs: number): Promise<void> {
    if (this.#isStoreStopped) return;
    this.#isStoreStopped = true;
    this.#timeline.add(`stop-store for ${forMs} ms`);
    await this.#world.store.stop();
    this.#lasts('the lease store is there again', forMs, async () => {
      await this.#world.store.start();
      this.#isStoreStopped = false;
    });
  }

  #fillDisk(forMs: number): void {
    const { disk, nodes } = this.#world;
    if (!disk) return;
    this.#timeline.add(`fill-disk of ${nodes.at(-1)?.name} for ${forMs} ms`);
    disk.fill(0);
    this.#lasts('the disk has room again', forMs, () => disk.free());
  }

  /** Ends it after the time, or when all is healed. */
  #lasts(what: string, forMs: number, end: () => void | Promise<void>): void {
    const timer = setTimeout(() => this.#do(once), forMs);
    const once = async () => {
      if (!this.#ending.delete(once)) return;
      clearTimeout(timer);
      await end();
      this.#timeline.add(what);
    };
    this.#ending.add(once);
  }

  #do(work: () => Promise<void>): void {
    const promise = work()
      .catch((error: unknown) => this.#history.wrong(String(error)))
      .finally(() => this.#underWay.delete(promise));
    this.#underWay.add(promise);
  }
}

function signal(pid: number | null, name: NodeJS.Signals): void {
  try {
    if (pid !== null) process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
