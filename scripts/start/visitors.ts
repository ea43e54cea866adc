import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { databaseName } from './node-status.ts';
import type { NodePlan } from './plan.ts';

/** A visit as the app answered it, and as it stands in the table. */
export interface Visit {
  id: number;
  placeId: number;
  region: string;
  visitedAt: string;
}

export interface AcknowledgedVisit extends Visit {
  atMs: number;
}

/** Sydney, Amsterdam and Chicago: the places that are visited. */
export const visitedPlaces = [2147714, 2759794, 4887398];

/** Longer than a door holds a write while nobody leads. */
const requestTimeoutMs = 15_000;
/** Requests on their way at once: more are not begun while nobody answers. */
const pendingMax = 40;

/**
 * Visits at a steady rate through the doors of all nodes in turn, whichever leads, each begun without waiting for the ones
 * before. A visit is acknowledged by a response that says that another candidate holds it as well.
 */
export class Visitors {
  readonly #nodes: () => readonly NodePlan[];
  readonly #pending = new Set<Promise<void>>();
  #count = 0;
  readonly #keeps: boolean;
  /** In the order of their acknowledgement; only kept with `keeps`. */
  readonly acknowledged: AcknowledgedVisit[] = [];

  /** `nodes` are those that are to be visited at this moment. */
  constructor(nodes: () => readonly NodePlan[], keeps: boolean) {
    this.#nodes = nodes;
    this.#keeps = keeps;
  }

  /** Visits until the signal aborts; resolves when the last answer is there. Visits that fail are given up. */
  async run(intervalMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const nodes = this.#nodes();
      const node = nodes[this.#count++ % Math.max(1, nodes.length)];
      if (node && this.#pending.size < pendingMax) {
        const visiting = this.#visit(node)
          .catch(() => undefined)
          .finally(() => this.#pending.delete(visiting));
        this.#pending.add(visiting);
      }
      await sleep(intervalMs, signal);
    }
    await Promise.all(this.#pending);
  }

  async #visit({ appUrl }: NodePlan): Promise<void> {
    const place = visitedPlaces[this.#count % visitedPlaces.length];
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const written = await fetch(`${appUrl}/places/${place}/visits`, { method: 'POST', signal });
    const body = (await written.json()) as { visit?: Visit };
    const isDurable = written.headers.get('skein-durability') === 'replica';
    if (this.#keeps && written.status === 201 && isDurable && body.visit)
      this.acknowledged.push({ ...body.visit, atMs: monotonicMs() });
  }
}

/** Nodes whose doors can be visited. */
export function runningPlans({ nodes }: Cluster): NodePlan[] {
  return nodes.filter((node) => node.isRunning).map(({ plan }) => plan);
}

/** Those of the visits that are not in the node's file as they were acknowledged. */
export function missingVisits(plan: NodePlan, visits: readonly Visit[]): Visit[] {
  const database = new DatabaseSync(join(plan.dataDirectory, databaseName), { readOnly: true });
  try {
    const select = database.prepare(
      'SELECT 1 FROM visits WHERE id = ? AND place_id = ? AND region = ? AND visited_at = ?',
    );
    return visits.filter(({ id, placeId, region, visitedAt }) => !select.get(id, placeId, region, visitedAt));
  } finally {
    database.close();
  }
}
