import { monotonicMs } from '../../src/base/clock.ts';
import { messageOf } from '../../src/base/errors.ts';
import type { Cluster } from './cluster.ts';
import type { Happenings } from './happenings.ts';
import type { Command } from './keys.ts';
import type { NodeProcess } from './node-process.ts';
import type { ClusterWatch } from './watch.ts';

/** Longer than a node tries to. */
const handOffTimeoutMs = 25_000;

/** What the keys of the live screen do, to the node that is chosen. */
export class Controls {
  readonly #nodes: readonly NodeProcess[];
  readonly #watch: ClusterWatch;
  readonly #happenings: Happenings;
  readonly #stop: () => void;
  #chosenAt = 0;
  #isHandingOff = false;

  constructor(cluster: Cluster, watch: ClusterWatch, happenings: Happenings, stop: () => void) {
    this.#nodes = cluster.nodes;
    this.#watch = watch;
    this.#happenings = happenings;
    this.#stop = stop;
  }

  get chosen(): NodeProcess {
    const node = this.#nodes[this.#chosenAt];
    if (!node) throw new Error('there is no node to choose');
    return node;
  }

  /** Does what the key asks for. Resolves when it is done, and never rejects: what went wrong is what happened. */
  async press(command: Command): Promise<void> {
    if (typeof command === 'number') {
      if (command < this.#nodes.length) this.#chosenAt = command;
    } else if (command === 'previous') this.#step(-1);
    else if (command === 'next') this.#step(1);
    else if (command === 'stop') this.#stop();
    else if (command === 'handOff') await this.#handOff(this.chosen);
    else this.#act(command, this.chosen);
  }

  #step(by: number): void {
    this.#chosenAt = (this.#chosenAt + by + this.#nodes.length) % this.#nodes.length;
  }

  #act(command: 'kill' | 'bringBack' | 'pause', node: NodeProcess): void {
    const { name } = node.plan;
    const happenings = this.#happenings;
    if (command === 'bringBack') {
      if (node.isPaused) happenings.say(`${name} is paused: p lets it go on`);
      else if (node.isRunning) happenings.say(`${name} runs already`);
      else {
        node.start();
        happenings.noteReturning(name, 'was started');
      }
    } else if (!node.isRunning) {
      happenings.say(`${name} does not run: b brings it back`);
    } else if (command === 'kill') {
      node.kill();
      happenings.noteGone(name, 'was killed');
    } else if (node.isPaused) {
      node.resume();
      happenings.noteReturning(name, 'went on');
    } else {
      node.pause();
      happenings.noteGone(name, 'was paused');
    }
  }

  async #handOff(target: NodeProcess): Promise<void> {
    const { name } = target.plan;
    const leader = this.#watch.leader();
    if (!leader) this.#happenings.say('nobody leads now who could hand over');
    else if (leader === target) this.#happenings.say(`${name} leads already`);
    else if (!this.#isHandingOff) {
      this.#isHandingOff = true;
      try {
        const tookMs = await handOff(leader.plan.apiUrl, name);
        this.#happenings.noteHandOff(leader.plan.name, name, tookMs);
        await this.#watch.refresh();
      } catch (error) {
        this.#happenings.say(`no handoff to ${name}: ${messageOf(error)}`);
      } finally {
        this.#isHandingOff = false;
      }
    }
  }
}

/** Has the node at `apiUrl`, which leads, hand over to another. Resolves to the ms until that one had the lease. */
export async function handOff(apiUrl: string, to: string): Promise<number> {
  const beganMs = monotonicMs();
  const answer = await fetch(`${apiUrl}/handoff`, {
    method: 'POST',
    body: JSON.stringify({ node: to }),
    signal: AbortSignal.timeout(handOffTimeoutMs),
  });
  const body = (await answer.json()) as { error?: { message?: string } };
  if (!answer.ok) throw new Error(body.error?.message ?? `status ${answer.status}`);
  return monotonicMs() - beganMs;
}
