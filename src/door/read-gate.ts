import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { canWait, waitForProgress } from './position-wait.ts';
import { PrimaryPositions } from './primary-positions.ts';
import type { Session, SessionPosition } from './session-position.ts';

/** How long a replica waits before it asks whether what it waits for exists at all. */
const askAfterMs = 250;
/** While the node changes its role, or starts. */
const pollMs = 10;

/** Has a read wait until this node holds what its client has written elsewhere. */
export class ReadGate {
  readonly #node: DoorNode;
  readonly #waitMs: number;
  readonly #figures: DoorFigures;
  readonly #primary: PrimaryPositions;

  constructor(node: DoorNode, waitMs: number, figures: DoorFigures) {
    this.#node = node;
    this.#waitMs = waitMs;
    this.#figures = figures;
    this.#primary = new PrimaryPositions(node);
  }

  /** Whether nothing has to be waited for. */
  isOpen(session: Session): boolean {
    const replication = this.#node.replication();
    return replication !== undefined && this.#holds(replication, session);
  }

  /**
   * Resolves to the session when all of it is here; to what there is of it, when that is here and some does not exist any
   * more; to undefined when neither came about in time. Never rejects.
   */
  async pass(session: Session, signal: AbortSignal): Promise<Session | undefined> {
    this.#figures.waited += 1;
    const sinceMs = monotonicMs();
    const untilMs = sinceMs + this.#waitMs;
    const leftMs = () => untilMs - monotonicMs();
    let wanted = session;
    while (leftMs() > 0 && !signal.aborted) {
      const replication = this.#node.replication();
      if (!replication) {
        await sleep(pollMs, signal);
        continue;
      }
      const isThere = () => this.#holds(replication, wanted);
      // With no room, the wait would end at once, and again, and leave no time for anything else.
      if (!isThere() && !canWait()) break;
      if (await waitForProgress(replication, isThere, Math.min(askAfterMs, leftMs()), signal)) return wanted;
      if (replication.isOver || leftMs() <= 0 || signal.aborted) continue;
      const most = await this.#primary.ask(replication, sinceMs, leftMs());
      // What the primary does not have, nobody will ever have; what came before that is to be seen all the same.
      const isLater = most !== undefined && most.epoch >= session.epoch;
      if (isLater && !hasAll(most.position, session.position)) wanted = leastOf(session, most);
    }
    if (!signal.aborted) this.#figures.late += 1;
    return undefined;
  }

  /** An earlier primary's chain may have other transactions of the same numbers. */
  #holds(replication: Replication, { epoch, position }: Session): boolean {
    if (position.size === 0) return true;
    if (this.#node.chainEpoch() < epoch) return false;
    for (const [name, txid] of position) if ((replication.position(name)?.txid ?? -1) < txid) return false;
    return true;
  }
}

function hasAll(most: SessionPosition, position: SessionPosition): boolean {
  return [...position].every(([name, txid]) => (most.get(name) ?? -1) >= txid);
}

/** What is left of a session where there is no more than this. */
function leastOf({ position }: Session, most: Session): Session {
  const left = [...position].flatMap(([name, txid]): [string, number][] => {
    const existing = most.position.get(name);
    return existing === undefined ? [] : [[name, Math.min(txid, existing)]];
  });
  return { epoch: most.epoch, position: new Map(left) };
}
