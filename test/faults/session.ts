import { setTimeout as delay } from 'node:timers/promises';
import type { FaultNode } from './fault-node.ts';
import type { History } from './history.ts';

const pauseMs = 40;
/** After so many nodes that do not have its position, a session takes it for given up. */
const refusalsMax = 8;

type Mark = {
  readonly id: number;
  readonly value: string;
  /** Undefined when a node said that it is given up; what was seen may be there all the same. */
  readonly position: string | undefined;
};

/**
 * Reads at one node while that lives, then at another, and never wants to see less than before: at another node it first
 * waits for the position that it has seen.
 */
export class Session {
  readonly #name: string;
  readonly #nodes: readonly FaultNode[];
  readonly #history: History;
  #at: number;
  #pid: number | undefined;
  #mark: Mark | undefined;
  #refusals = 0;
  #isStopped = false;
  readonly #ended: Promise<void>;

  constructor(name: string, nodes: readonly FaultNode[], at: number, history: History) {
    this.#name = name;
    this.#nodes = nodes;
    this.#history = history;
    this.#at = at;
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (!(await this.#read())) this.#move();
      await delay(pauseMs);
    }
  }

  /** False when the session should go on at another node. */
  async #read(): Promise<boolean> {
    const node = this.#nodes[this.#at];
    if (!node) return false;
    if (this.#pid === undefined && !(await this.#arrive(node))) return false;
    const before = await node.wait({});
    const answer = await node.read(this.#mark?.id ?? 0);
    if (!answer || before?.status !== 200) return false;
    // Another life of the app, which may have come with another directory.
    if (this.#pid !== undefined && answer.pid !== this.#pid) return false;
    this.#pid = answer.pid;
    this.#history.reads += 1;
    if (this.#mark && answer.known[0] !== this.#mark.value)
      await this.#steppedBack(node, this.#mark, answer.id);
    // Only a position between two looks at which nothing moved is that of what was read.
    if (answer.value === null || (await node.wait({}))?.position !== before.position) return true;
    this.#mark = { id: answer.id, value: answer.value, position: before.position };
    return true;
  }

  /** Waits until the node has what was seen elsewhere. */
  async #arrive(node: FaultNode): Promise<boolean> {
    const mark = this.#mark;
    if (mark?.position === undefined) return true;
    const waited = await node.wait({ position: mark.position });
    if (waited?.status === 200) {
      this.#refusals = 0;
      return true;
    }
    if (waited?.status === 409) {
      this.#mark = { ...mark, position: undefined };
      return true;
    }
    if (waited?.status === 408) this.#refusals += 1;
    if (this.#refusals >= refusalsMax) this.#abandon(mark, `no node comes to position ${mark.position}`);
    return false;
  }

  async #steppedBack(node: FaultNode, mark: Mark, id: number): Promise<void> {
    const waited = mark.position === undefined ? undefined : await node.wait({ position: mark.position });
    // It does not answer any more: another one will say.
    if (mark.position !== undefined && waited === undefined) return;
    if (waited?.status === 200) {
      this.#history.wrong(
        `${this.#name} saw ${mark.value} (id ${mark.id}) at ${mark.position}, and at ${node.name}, which says that it has this position, only rows up to id ${id}`,
      );
    }
    this.#abandon(
      mark,
      `${node.name} is at id ${id}, and answers ${waited?.status ?? 409} for ${mark.position}`,
    );
  }

  #abandon({ value }: Mark, why: string): void {
    this.#history.abandoned.push({ session: this.#name, value, why });
    this.#mark = undefined;
    this.#refusals = 0;
  }

  #move(): void {
    this.#at = (this.#at + 1) % this.#nodes.length;
    this.#pid = undefined;
  }
}
