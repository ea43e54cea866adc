import { isConfirmed, writeByDoor } from './door-writing.ts';
import type { FaultNode, ReadAnswer } from './fault-node.ts';
import type { History } from './history.ts';
import { Turns } from './turns.ts';

const pauseMs = 40;
const readsBetweenWrites = 4;
const turnsAtDoor = 3;

type Seen = { readonly id: number; readonly value: string };

/**
 * A client with a cookie, as a browser is one: reads and writes through one door, then through another. What it has written
 * and was confirmed it finds everywhere; what it has seen through a door, it sees there again.
 */
export class DoorSession {
  readonly #name: string;
  readonly #nodes: readonly FaultNode[];
  readonly #history: History;
  readonly turns: Turns;
  #at: number;
  #turn = 0;
  #number = 0;
  #cookie = '';
  /** Its last write that was confirmed. */
  #own: Seen | undefined;
  /** Through the door where it is, in this life of the app. */
  #last: (Seen & { readonly pid: number }) | undefined;

  constructor(name: string, nodes: readonly FaultNode[], at: number, history: History) {
    this.#name = name;
    this.#nodes = nodes;
    this.#history = history;
    this.#at = at;
    this.turns = new Turns(pauseMs, () => this.#go());
  }

  async #go(): Promise<void> {
    this.#turn += 1;
    const node = this.#nodes[this.#at];
    if (!node) return;
    const isWrite = this.#turn % (readsBetweenWrites + 1) === 0;
    const isAnswered = isWrite ? await this.#write(node) : await this.#read(node);
    if (!isAnswered || this.#turn % turnsAtDoor === 0) this.#move();
  }

  async #write(node: FaultNode): Promise<boolean> {
    this.#number += 1;
    const value = `${this.#name}-${this.#number}`;
    const answer = await writeByDoor(this.#history, node, value, this.#cookie);
    if (answer?.cookie !== undefined) this.#cookie = answer.cookie;
    if (answer?.body && isConfirmed(answer)) {
      this.#own = { id: answer.body.id, value };
      if (!answer.cookie) this.#history.wrong(`${this.#name} has no position of ${value} from ${node.name}`);
    }
    return answer?.status === 200;
  }

  async #read(node: FaultNode): Promise<boolean> {
    const [own, last, sent] = [this.#own, this.#last, this.#cookie];
    const answer = await node.readByDoor([own?.id ?? 0, last?.id ?? 0], sent);
    if (answer?.cookie !== undefined) this.#cookie = answer.cookie;
    const read = answer?.body;
    if (!read) return false;
    this.#history.readsByDoor += 1;
    const [ownValue, lastValue] = read.known;
    if (own && ownValue !== own.value) {
      // Once: there is room for a few such lines only.
      this.#own = undefined;
      this.#history.wrong(
        `${this.#name} has written ${own.value} (id ${own.id}), which was confirmed, and sees only rows up to id ${read.id} through the door of ${node.name}, where it sent ${sent || 'nothing'}${answer.cookie === '' ? ' and was told to forget it' : ''}`,
      );
    }
    if (last && read.pid === last.pid && lastValue !== last.value)
      this.#history.abandoned.push({
        session: this.#name,
        value: last.value,
        why: `it is gone behind the door of ${node.name}, which is at id ${read.id}`,
      });
    this.#note(read);
    return true;
  }

  #note({ id, value, pid }: ReadAnswer): void {
    this.#last = value === null ? undefined : { id, value, pid };
  }

  #move(): void {
    this.#at = (this.#at + 1) % this.#nodes.length;
    this.#last = undefined;
  }
}
