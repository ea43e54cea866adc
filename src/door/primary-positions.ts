import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorNode } from './door-node.ts';
import type { Session } from './session-position.ts';

const askTimeoutMs = 1_000;
/** An answer serves all who ask within this time of it; less than anybody waits before asking. */
const freshMs = 200;

/** Only a primary that may write at this moment can say that something is nowhere: one that lost the lead may lack what came after. */
const primaryStatus = z.object({
  role: z.literal('primary'),
  canWrite: z.literal(true),
  epoch: z.number().int(),
  databases: z.record(z.string(), z.object({ txid: z.string().regex(/^[0-9a-f]{16}$/) })),
});

/** What the primary has, asked once for all who want to know at about the same time. */
export class PrimaryPositions {
  readonly #node: DoorNode;
  #last:
    | { readonly of: Replication; readonly begunMs: number; readonly answer: Promise<Session | undefined> }
    | undefined;

  constructor(node: DoorNode) {
    this.#node = node;
  }

  /**
   * What the primary had, and in which epoch, at some moment after `sinceMs`; undefined when nobody can tell now, or within `leftMs`. Never
   * rejects.
   */
  async ask(replication: Replication, sinceMs: number, leftMs: number): Promise<Session | undefined> {
    const nowMs = monotonicMs();
    const last = this.#last;
    const isOfNow = last?.of === replication && last.begunMs >= sinceMs && nowMs - last.begunMs < freshMs;
    const answer = isOfNow ? last.answer : this.#ask(replication);
    if (!isOfNow) this.#last = { of: replication, begunMs: nowMs, answer };
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), leftMs);
    try {
      return await Promise.race([answer, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(replication: Replication): Promise<Session | undefined> {
    try {
      return replication.role === 'primary' ? await this.#own(replication) : await this.#other(replication);
    } catch {
      // It is waited for as if it were there.
      return undefined;
    }
  }

  async #own(replication: Replication): Promise<Session | undefined> {
    const most = new Map<string, number>();
    await this.#node.lookForNew(replication);
    for (const name of replication.positions().keys())
      most.set(name, (await replication.currentPosition(name)).txid);
    // Asked last: what was read before that is what a primary has.
    if (!this.#node.canWrite() || this.#node.replication() !== replication) return undefined;
    return { epoch: this.#node.chainEpoch(), position: most };
  }

  async #other(replication: Replication): Promise<Session | undefined> {
    const primary = replication.primary();
    if (!primary) return undefined;
    const { secret } = this.#node;
    const answer = await fetch(new URL('/status', primary.url), {
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
      signal: AbortSignal.timeout(askTimeoutMs),
    });
    const { databases, epoch } = primaryStatus.parse(await answer.json());
    const txids = Object.entries(databases).map(
      ([name, { txid }]) => [name, Number.parseInt(txid, 16)] as const,
    );
    return { epoch, position: new Map(txids) };
  }
}
