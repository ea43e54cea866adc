import { setTimeout as delay } from 'node:timers/promises';
import { writeByDoor } from './door-writing.ts';
import type { FaultNode } from './fault-node.ts';
import type { History } from './history.ts';
import { Turns } from './turns.ts';

const pauseMs = 25;
const afterRefusalMs = 50;

/** Writes unique values through one node's door, whoever leads. */
export class DoorWriter {
  readonly #name: string;
  readonly #target: FaultNode;
  readonly #history: History;
  readonly turns: Turns;
  #number = 0;

  constructor(name: string, target: FaultNode, history: History) {
    this.#name = name;
    this.#target = target;
    this.#history = history;
    this.turns = new Turns(pauseMs, () => this.#write());
  }

  async #write(): Promise<void> {
    this.#number += 1;
    const answer = await writeByDoor(this.#history, this.#target, `${this.#name}-${this.#number}`);
    if (answer?.status !== 200) await delay(afterRefusalMs);
  }
}
