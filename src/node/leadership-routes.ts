import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { Config } from '../config/config.ts';
import type { Leadership } from '../lease/leadership.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import { readJson } from './json-body.ts';
import type { Roles } from './roles.ts';

/** How long a promotion may take: longer than a handoff with all its waits. */
const promoteTimeoutMs = 20_000;
const promotePollMs = 25;

const handoffRequest = z.strictObject({ node: z.string().min(1).max(200).optional() });
const promoteRequest = z.strictObject({ acceptLoss: z.boolean().default(false) });

/** GET /leadership, POST /handoff and POST /promote: who leads, and having another lead. */
export class LeadershipRoutes {
  readonly #config: Config;
  readonly #roles: () => Roles;
  readonly #leadership: () => Leadership;

  constructor(config: Config, roles: () => Roles, leadership: () => Leadership) {
    this.#config = config;
    this.#roles = roles;
    this.#leadership = leadership;
  }

  /** What `skein doctor` looks at. */
  async report({ response }: ApiRequest): Promise<void> {
    const { type, key, ttlMs } = this.#config.lease;
    const { name, region, candidate } = this.#config.node;
    const { problem, obstacle, ...report } = this.#leadership().report();
    const survey = await this.#leadership()
      .survey()
      .catch((error: unknown) => messageOf(error));
    sendJson(response, 200, {
      node: { name, region, candidate },
      lease: { type, key, ttlMs },
      ...report,
      obstacle: obstacle ?? null,
      problem: typeof survey === 'string' ? survey : (problem ?? null),
      candidates:
        typeof survey === 'string' ? [] : survey.map((one) => ({ ...one, obstacle: one.obstacle ?? null })),
      clockMs: wallClockMs(),
    });
  }

  /** Answers when the other node has the lease. */
  async handOff({ request, response }: ApiRequest): Promise<void> {
    this.#requireMovable();
    const { node } = await readJson(
      request,
      handoffRequest,
      '{"node": "name"}, or {} for the nearest candidate',
    );
    if (node === this.#config.node.name) {
      sendJson(response, 200, { primary: node });
      return;
    }
    sendJson(response, 200, { primary: await this.#roles().handOff(node) });
  }

  /** Answers when this node leads. */
  async promote({ request, response }: ApiRequest): Promise<void> {
    this.#requireMovable();
    const { acceptLoss } = await readJson(request, promoteRequest, '{"acceptLoss": false}');
    if (!this.#leads) await this.#becomePrimary(acceptLoss, response);
    if (!this.#leads) {
      const { obstacle, problem } = this.#leadership().report();
      throw new SkeinError(
        'NO_CANDIDATE',
        `This node did not come to lead: ${problem ?? obstacle ?? 'another one has the lease'}. GET /leadership has the details.`,
      );
    }
    sendJson(response, 200, { primary: this.#config.node.name });
  }

  get #leads(): boolean {
    const roles = this.#roles();
    return roles.replication?.role === 'primary' && !roles.isFenced;
  }

  async #becomePrimary(acceptLoss: boolean, response: ServerResponse): Promise<void> {
    const over = new AbortController();
    const end = () => over.abort();
    response.once('close', end);
    try {
      const primary = this.#roles().replication?.primary();
      if (primary) await this.#askFor(primary.url);
      else this.#takeFreeLease(acceptLoss, over.signal);
      const untilMs = monotonicMs() + promoteTimeoutMs;
      while (!this.#leads && monotonicMs() < untilMs && !over.signal.aborted)
        await sleep(promotePollMs, over.signal);
    } finally {
      response.off('close', end);
      // What a person accepted holds for this request, not for whatever happens to the lease tomorrow.
      end();
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

  #requireMovable(): void {
    if (this.#config.lease.type !== 'static') return;
    throw new SkeinError(
      'USAGE',
      'With [lease] type = "static" the primary never changes. Take a lease of another type on all nodes.',
    );
  }
}
