import { setTimeout as delay } from 'node:timers/promises';
import type { FaultNode } from './fault-node.ts';
import { type History, nowMs } from './history.ts';
import { Turns } from './turns.ts';

/**
 * Within this a node cannot have lost its lease and taken it again, having dropped the write between: that takes longer than
 * the TTL, or a handoff, which drops nothing.
 */
const sureMs = 1_000;
const idleMs = 50;

/** Writes unique values at one node for as long as that leads, and asks for `replica` durability each time. */
export class Writer {
  readonly #name: string;
  readonly #target: FaultNode;
  readonly #history: History;
  #number = 0;
  readonly turns: Turns;

  constructor(name: string, target: FaultNode, history: History, pauseMs: number) {
    this.#name = name;
    this.#target = target;
    this.#history = history;
    this.turns = new Turns(pauseMs, () => this.#write());
  }

  async #write(): Promise<void> {
    const target = this.#target;
    const before = await target.status();
    if (before?.role !== 'primary') {
      await delay(idleMs);
      return;
    }
    const sinceMs = nowMs();
    this.#number += 1;
    const value = `${this.#name}-${this.#number}`;
    const written = await target.write(value);
    if (!written) {
      await delay(idleMs);
      return;
    }
    this.#history.written += 1;
    const askedMs = nowMs();
    const waited = await target.wait({ durability: 'replica' });
    const isAnswered = nowMs() - sinceMs < sureMs;
    const after = await target.status();
    // Killed right after its answer, it stands by that all the same.
    const isSame = after ? after.role === 'primary' && after.epoch === before.epoch : isAnswered;
    if (!isSame) return;
    this.#history.committed({
      value,
      node: target.name,
      epoch: before.epoch,
      begunMs: written.begunMs,
      doneMs: written.doneMs,
      acknowledgedSinceMs: waited?.status === 200 ? askedMs : undefined,
    });
  }
}
