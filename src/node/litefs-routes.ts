import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf, SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import type { ApiRequest } from './api-server.ts';
import { liteFsClusterIdOf, liteFsIdOf } from './litefs-identity.ts';
import type { Promotion } from './promotion.ts';
import type { Roles } from './roles.ts';

/** GET /info, POST /promote and POST /handoff as LiteFS has them: no bodies, and errors in plain text. */
export class LiteFsRoutes {
  readonly #config: Config;
  readonly #roles: () => Roles;
  readonly #promotion: Promotion;

  constructor(config: Config, roles: () => Roles, promotion: Promotion) {
    this.#config = config;
    this.#roles = roles;
    this.#promotion = promotion;
  }

  info({ response }: ApiRequest): void {
    const { app, node, database } = this.#config;
    const replication = this.#roles().replication;
    const hostname = replication?.primary()?.node;
    const info = {
      clusterID: liteFsClusterIdOf(app),
      isPrimary: replication?.role === 'primary',
      candidate: node.candidate,
      path: database.dir,
      ...(hostname === undefined ? {} : { primary: { hostname } }),
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(info, undefined, 2)}\n`);
  }

  /** Answers when this node leads: 200, also when it did before. */
  async promote({ response }: ApiRequest): Promise<void> {
    if (this.#promotion.leads) {
      sendText(response, 200, '');
      return;
    }
    if (!this.#config.node.candidate) {
      sendText(response, 409, 'not eligible to become primary');
      return;
    }
    const gone = new AbortController();
    const end = () => gone.abort();
    response.once('close', end);
    const promotion = this.#promotion.promote(false, gone.signal);
    await answered(
      response,
      promotion.finally(() => response.off('close', end)),
    );
  }

  /** Answers when the node of this id leads. */
  async handOff({ response, query }: ApiRequest): Promise<void> {
    await answered(response, this.#handOffTo(query.get('nodeID') ?? ''));
  }

  async #handOffTo(id: string): Promise<void> {
    this.#promotion.requireMovable();
    const replicas = this.#roles().replication?.replicas() ?? [];
    const { app } = this.#config;
    const target = replicas.find(
      ({ node, connected }) => connected && liteFsIdOf(app, node) === id.toUpperCase(),
    );
    if (this.#roles().replication?.role !== 'primary')
      throw new SkeinError('NOT_PRIMARY', 'node is not primary');
    if (target === undefined) throw new SkeinError('NO_CANDIDATE', 'target node is not currently connected');
    await this.#roles().handOff(target.node);
  }
}

/** Whether a request that both systems have has no body, as LiteFS sends it. */
export function isLiteFsRequest({ headers }: IncomingMessage): boolean {
  const { 'content-type': type, 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return type === undefined && length === '0' && encoding === undefined;
}

async function answered(response: ServerResponse, work: Promise<void>): Promise<void> {
  try {
    await work;
    sendText(response, 200, '');
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    sendText(response, 500, messageOf(error));
  }
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text === '' ? '' : `${text}\n`);
}
