import { z } from 'zod';
import { wallClockMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import type { Leadership } from '../lease/leadership.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import { readJson } from './json-body.ts';
import type { Promotion } from './promotion.ts';
import type { Roles } from './roles.ts';

const handoffRequest = z.strictObject({ node: z.string().min(1).max(200).optional() });
const promoteRequest = z.strictObject({ acceptLoss: z.boolean().default(false) });

/** GET /leadership, POST /handoff and POST /promote: who leads, and having another lead. */
export class LeadershipRoutes {
  readonly #config: Config;
  readonly #roles: () => Roles;
  readonly #leadership: () => Leadership;
  readonly #promotion: Promotion;

  constructor(config: Config, roles: () => Roles, leadership: () => Leadership, promotion: Promotion) {
    this.#config = config;
    this.#roles = roles;
    this.#leadership = leadership;
    this.#promotion = promotion;
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
    this.#promotion.requireMovable();
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
    this.#promotion.requireMovable();
    const { acceptLoss } = await readJson(request, promoteRequest, '{"acceptLoss": false}');
    const gone = new AbortController();
    const end = () => gone.abort();
    response.once('close', end);
    await this.#promotion.promote(acceptLoss, gone.signal).finally(() => response.off('close', end));
    sendJson(response, 200, { primary: this.#config.node.name });
  }
}
