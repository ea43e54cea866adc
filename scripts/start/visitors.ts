import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
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

const requestTimeoutMs = 2000;
/** Requests on their way at once: more are not begun while nobody answers. */
const pendingMax = 40;

/**
 * Visits at a steady rate through the app of the node that leads, each begun without waiting for the ones before. With
 * `isDurable` a visit counts as acknowledged once another candidate holds it as well.
 */
export class Visitors {
  readonly #leader: () => NodePlan | undefined;
  readonly #isDurable: boolean;
  readonly #pending = new Set<Promise<void>>();
  #count = 0;
  /** In the order of their acknowledgement; only kept with `isDurable`. */
  readonly acknowledged: AcknowledgedVisit[] = [];

  constructor(leader: () => NodePlan | undefined, isDurable: boolean) {
    this.#leader = leader;
    this.#isDurable = isDurable;
  }

  /** Visits until the signal aborts; resolves when the last answer is there. Visits that fail are given up. */
  async run(intervalMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const leader = this.#leader();
      if (leader && this.#pending.size < pendingMax) {
        const visiting = this.#visit(leader)
          .catch(() => undefined)
          .finally(() => this.#pending.delete(visiting));
        this.#pending.add(visiting);
      }
      await sleep(intervalMs, signal);
    }
    await Promise.all(this.#pending);
  }

  async #visit({ appUrl, apiUrl }: NodePlan): Promise<void> {
    const place = visitedPlaces[this.#count++ % visitedPlaces.length];
    const written = await post(`${appUrl}/places/${place}/visits`);
    const body = (await written.json()) as { visit?: Visit };
    if (!this.#isDurable || written.status !== 201 || !body.visit) return;
    const held = await post(`${apiUrl}/wait`, { database: databaseName, durability: 'replica' });
    await held.body?.cancel();
    if (held.ok) this.acknowledged.push({ ...body.visit, atMs: monotonicMs() });
  }
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

function post(url: string, body?: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(requestTimeoutMs),
  });
}
