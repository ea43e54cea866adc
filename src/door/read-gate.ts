import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { waitForProgress } from './position-wait.ts';
import type { Session, SessionPosition } from './session-position.ts';

/** How long a replica waits before it asks whether what it waits for exists at all. */
const askAfterMs = 250;
const askTimeoutMs = 1_000;
/** While the node changes its role, or starts. */
const pollMs = 10;

const primaryStatus = z.object({
  role: z.literal('primary'),
  epoch: z.number().int(),
  databases: z.record(z.string(), z.object({ txid: z.string().regex(/^[0-9a-f]{16}$/) })),
});

/** Has a read wait until this node holds what its client has written elsewhere. */
export class ReadGate {
  readonly #node: DoorNode;
  readonly #waitMs: number;
  readonly #figures: DoorFigures;

  constructor(node: DoorNode, waitMs: number, figures: DoorFigures) {
    this.#node = node;
    this.#waitMs = waitMs;
    this.#figures = figures;
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
    const untilMs = monotonicMs() + this.#waitMs;
    const leftMs = () => untilMs - monotonicMs();
    let wanted = session;
    while (leftMs() > 0 && !signal.aborted) {
      const replication = this.#node.replication();
      if (!replication) {
        await sleep(pollMs, signal);
        continue;
      }
      const isThere = () => this.#holds(replication, wanted);
      if (await waitForProgress(replication, isThere, Math.min(askAfterMs, leftMs()), signal)) return wanted;
      if (replication.isOver) continue;
      const most = await this.#ofPrimary(replication, session.epoch, leftMs(), signal);
      // What the primary does not have, nobody will ever have; what came before that is to be seen all the same.
      if (most && !hasAll(most.position, session.position)) wanted = leastOf(session, most);
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

  /** What the primary of this epoch, or a later one, has now; undefined when it cannot be asked. */
  async #ofPrimary(
    replication: Replication,
    epoch: number,
    leftMs: number,
    signal: AbortSignal,
  ): Promise<Session | undefined> {
    if (replication.role === 'primary') {
      // One that has lost its lease may lack what the next one has written.
      if (!this.#node.canWrite()) return undefined;
      const most = new Map<string, number>();
      for (const name of replication.positions().keys()) {
        const current = await replication.currentPosition(name).catch(() => undefined);
        if (current) most.set(name, current.txid);
      }
      return { epoch: this.#node.chainEpoch(), position: most };
    }
    const primary = replication.primary();
    if (!primary) return undefined;
    const { secret } = this.#node;
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(Math.min(askTimeoutMs, leftMs))));
    try {
      const answer = await fetch(new URL('/status', primary.url), {
        headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
        signal: AbortSignal.any([signal, timeout]),
      });
      const status = primaryStatus.parse(await answer.json());
      if (status.epoch < epoch) return undefined;
      const databases = Object.entries(status.databases);
      const position = new Map(databases.map(([name, { txid }]) => [name, Number.parseInt(txid, 16)]));
      return { epoch: status.epoch, position };
    } catch {
      // It is waited for as if it were there.
      return undefined;
    }
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
