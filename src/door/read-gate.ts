import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { waitForProgress } from './position-wait.ts';
import type { SessionPosition } from './session-position.ts';

/** How long a replica waits before it asks whether what it waits for exists at all. */
const askAfterMs = 250;
const askTimeoutMs = 1_000;

const primaryStatus = z.object({
  role: z.literal('primary'),
  databases: z.record(z.string(), z.object({ txid: z.string().regex(/^[0-9a-f]{16}$/) })),
});

/** `gone`: some of it is no position of the primary's any more, and was not waited for. */
export type GateResult = 'open' | 'gone' | 'late';

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
  isOpen(position: SessionPosition): boolean {
    const replication = this.#node.replication();
    if (!replication) return false;
    for (const [name, txid] of position) if ((replication.position(name)?.txid ?? -1) < txid) return false;
    return true;
  }

  /** Never rejects. */
  async pass(position: SessionPosition, signal: AbortSignal): Promise<GateResult> {
    this.#figures.waited += 1;
    const untilMs = monotonicMs() + this.#waitMs;
    const leftMs = () => untilMs - monotonicMs();
    let wanted = position;
    while (leftMs() > 0 && !signal.aborted) {
      const replication = this.#node.replication();
      if (!replication) return 'open';
      const isThere = () => holds(replication, wanted);
      if (await waitForProgress(replication, isThere, Math.min(askAfterMs, leftMs()), signal))
        return wanted.size < position.size ? 'gone' : 'open';
      if (replication.isOver) continue;
      const most = await this.#ofPrimary(replication, leftMs(), signal);
      // What the primary does not have, nobody will ever have.
      if (most) wanted = new Map([...position].filter(([name, txid]) => (most.get(name) ?? -1) >= txid));
    }
    if (!signal.aborted) this.#figures.late += 1;
    return 'late';
  }

  /** By database, what the primary has now; undefined when it cannot be asked. */
  async #ofPrimary(
    replication: Replication,
    leftMs: number,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, number> | undefined> {
    if (replication.role === 'primary') {
      const most = new Map<string, number>();
      for (const name of replication.positions().keys()) {
        const current = await replication.currentPosition(name).catch(() => undefined);
        if (current) most.set(name, current.txid);
      }
      return most;
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
      const { databases } = primaryStatus.parse(await answer.json());
      return new Map(Object.entries(databases).map(([name, { txid }]) => [name, Number.parseInt(txid, 16)]));
    } catch {
      // It is waited for as if it were there.
      return undefined;
    }
  }
}

function holds(replication: Replication, position: SessionPosition): boolean {
  for (const [name, txid] of position) if ((replication.position(name)?.txid ?? -1) < txid) return false;
  return true;
}
