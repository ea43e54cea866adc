import { monotonicMs, wallClockMs } from '../../src/base/clock.ts';
import { isServing, leadingStatus, type NodeStatus } from './node-status.ts';
import type { NodeView } from './screen.ts';

interface Moment {
  node: string;
  /** What was done to it, as the end of a sentence: `was killed`. */
  what: string;
  atMs: number;
}

/** What happened last, in one line: what was done to a node, and what became of it. */
export class Happenings {
  #text = '';
  #leading: NodeStatus | undefined;
  /** Why the next leader leads. */
  #gone: Moment | undefined;
  #handedOff: { to: string; text: string } | undefined;
  /** Nodes that are on their way back. */
  readonly #returning = new Map<string, Moment>();

  get text(): string {
    return this.#text;
  }

  say(text: string): void {
    this.#text = text;
  }

  /** The node cannot lead or follow from now on. */
  noteGone(node: string, what: string): void {
    this.#returning.delete(node);
    if (this.#leading?.node === node) this.#gone = { node, what, atMs: monotonicMs() };
    this.say(`${node} ${what}`);
  }

  noteReturning(node: string, what: string): void {
    this.#returning.set(node, { node, what, atMs: monotonicMs() });
    this.say(`${node} ${what}`);
  }

  noteHandOff(from: string, to: string, tookMs: number): void {
    const text = `: ${from} handed over in ${Math.round(tookMs)} ms`;
    // A look may have come before the answer.
    if (this.#leading?.node === to) this.say(`${to} leads since ${clockTime()}${text}`);
    else this.#handedOff = { to, text };
  }

  /** Looks for what has changed since the last look. */
  look(views: readonly NodeView[]): void {
    const leading = leadingStatus(views.map(({ status }) => status));
    if (leading && leading.epoch > (this.#leading?.epoch ?? 0)) this.#newLeader(leading);
    for (const { name, status } of views) {
      const moment = this.#returning.get(name);
      if (!moment || !leading || !isServing(status)) continue;
      const isBack = name === leading.node || status?.primary?.node === leading.node;
      if (!isBack) continue;
      this.#returning.delete(name);
      const does = name === leading.node ? 'leads' : `follows ${leading.node}`;
      this.say(`${name} ${does}, ${since({ ...moment, node: 'it' })}`);
    }
  }

  #newLeader(leading: NodeStatus): void {
    const { node } = leading;
    let why = '';
    if (this.#handedOff?.to === node) why = this.#handedOff.text;
    else if (this.#gone) why = `, ${since(this.#gone)}`;
    this.#leading = leading;
    this.#gone = undefined;
    this.#handedOff = undefined;
    this.#returning.delete(node);
    this.say(`${node} leads since ${clockTime()}${why}`);
  }
}

function since({ node, what, atMs }: Moment): string {
  return `${((monotonicMs() - atMs) / 1000).toFixed(1)} s after ${node} ${what}`;
}

/** The time of day here, to the second. */
function clockTime(): string {
  return new Date(wallClockMs()).toTimeString().slice(0, 8);
}
