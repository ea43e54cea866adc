import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { Config } from '../config/config.ts';
import type { Leadership } from '../lease/leadership.ts';
import type { Roles } from './roles.ts';

/** How long a promotion may take: longer than a handoff with all its waits. */
const promoteTimeoutMs = 20_000;
const promotePollMs = 25;

/** Has this node lead: by a handoff where another does, else by taking the lease. */
export class Promotion {
  readonly #config: Config;
  readonly #roles: () => Roles;
  readonly #leadership: () => Leadership;

  constructor(config: Config, roles: () => Roles, leadership: () => Leadership) {
    this.#config = config;
    this.#roles = roles;
    this.#leadership = leadership;
  }

  /** Whether this node leads, and the app may write. */
  get leads(): boolean {
    return this.#roles().mayWrite;
  }

  /**
   * Resolves when this node leads, or `signal` aborts. Rejects with `NO_CANDIDATE`, `PRIMARY_UNREACHABLE`, and `USAGE` where the
   * lead never changes.
   */
  async promote(acceptLoss: boolean, signal: AbortSignal): Promise<void> {
    this.requireMovable();
    if (!this.leads) await this.#becomePrimary(acceptLoss, signal);
    if (this.leads || signal.aborted) return;
    const { obstacle, problem } = this.#leadership().report();
    throw new SkeinError(
      'NO_CANDIDATE',
      `This node did not come to lead: ${problem ?? obstacle ?? 'another one has the lease'}. GET /leadership has the details.`,
    );
  }

  /** Throws `USAGE` where the lead never changes. */
  requireMovable(): void {
    if (this.#config.lease.type !== 'static') return;
    throw new SkeinError(
      'USAGE',
      'With [lease] type = "static" the primary never changes. Take a lease of another type on all nodes.',
    );
  }

  async #becomePrimary(acceptLoss: boolean, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const end = AbortSignal.any([signal, over.signal]);
    try {
      const primary = this.#roles().replication?.primary();
      if (primary) await this.#askFor(primary.url);
      else this.#takeFreeLease(acceptLoss, end);
      const untilMs = monotonicMs() + promoteTimeoutMs;
      while (!this.leads && monotonicMs() < untilMs && !end.aborted) await sleep(promotePollMs, end);
    } finally {
      // What a person accepted holds for this request, not for whatever happens to the lease tomorrow.
      over.abort();
    }
  }

  #takeFreeLease(acceptLoss: boolean, signal: AbortSignal): void {
    const { obstacle } = this.#leadership().report();
    if (acceptLoss) this.#leadership().acceptLoss(signal);
    else if (obstacle !== undefined) {
      throw new SkeinError(
        'NO_CANDIDATE',
        `This node ${obstacle}. To lead all the same, and give up what it lacks: skein promote --accept-loss.`,
      );
    }
  }

  /** The primary hands over to this node. Throws its answer when that is an error. */
  async #askFor(primaryUrl: string): Promise<void> {
    const { secret, name } = this.#config.node;
    const answer = await fetch(new URL('/handoff', primaryUrl), {
      method: 'POST',
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
      body: JSON.stringify({ node: name }),
      signal: AbortSignal.timeout(promoteTimeoutMs),
    }).catch((cause: unknown) => {
      throw new SkeinError('PRIMARY_UNREACHABLE', `The primary at ${primaryUrl} does not answer.`, { cause });
    });
    if (answer.ok) return;
    const body = (await answer.json().catch(() => undefined)) as
      | { error?: { message?: unknown } }
      | undefined;
    throw new SkeinError(
      'NO_CANDIDATE',
      `The primary does not hand over: ${String(body?.error?.message ?? `HTTP status ${answer.status}`)}`,
    );
  }
}
