import { monotonicMs } from '../base/clock.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { canWait, waitForProgress } from './position-wait.ts';
import { PrimaryPositions } from './primary-positions.ts';
import type { SessionPosition } from './session-position.ts';

/** How long a replica waits before it asks whether what it waits for exists at all. */
const askAfterMs = 250;

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
  isOpen(position: SessionPosition): boolean {
    const replication = this.#node.replication();
    if (!replication) return false;
    for (const [name, txid] of position) if ((replication.position(name)?.txid ?? -1) < txid) return false;
    return true;
  }

  /**
   * What of the position is here; what is missing in that is no position of the primary's any more. Undefined when it took too
   * long. Never rejects.
   */
  async pass(position: SessionPosition, signal: AbortSignal): Promise<SessionPosition | undefined> {
    this.#figures.waited += 1;
    const sinceMs = monotonicMs();
    const untilMs = sinceMs + this.#waitMs;
    const leftMs = () => untilMs - monotonicMs();
    let wanted = position;
    while (leftMs() > 0 && !signal.aborted) {
      const replication = this.#node.replication();
      if (!replication) return position;
      const isThere = () => holds(replication, wanted);
      // With no room, the wait would end at once, and again, and leave no time for anything else.
      if (!isThere() && !canWait()) break;
      if (await waitForProgress(replication, isThere, Math.min(askAfterMs, leftMs()), signal)) return wanted;
      if (replication.isOver || leftMs() <= 0 || signal.aborted) continue;
      const most = await this.#primary.ask(replication, sinceMs, leftMs());
      // What the primary does not have, nobody will ever have.
      if (most) wanted = new Map([...position].filter(([name, txid]) => (most.get(name) ?? -1) >= txid));
    }
    if (!signal.aborted) this.#figures.late += 1;
    return undefined;
  }
}

function holds(replication: Replication, position: SessionPosition): boolean {
  for (const [name, txid] of position) if ((replication.position(name)?.txid ?? -1) < txid) return false;
  return true;
}
