import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { z } from 'zod';
import { ConsulStandInState, type Entry, type Operation } from './consul-stand-in-state.ts';

export type ConsulStandInOptions = {
  /** The only token that is let in; without one, everybody is. */
  readonly token?: string;
  /** As Consul's `session_ttl_min`: 10 s unless given. */
  readonly sessionTtlMinMs?: number;
  /** How many times its TTL a session lasts without renewal, 1 to 2. */
  readonly expiryFactor?: number;
};

type Answer = { readonly status: number; readonly body: unknown; readonly index?: number };

const sessionTtlMaxMs = 86_400_000;
const waitMsMax = 600_000;
const unitsMs: Record<string, number> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

const sessionRequest = z.object({
  Name: z.string().default(''),
  Node: z.string().default('agent'),
  Checks: z.array(z.string()).optional(),
  Behavior: z.string().default('release'),
  TTL: z.string().default(''),
  LockDelay: z.string().default('15s'),
});
const operationRequest = z.object({
  Verb: z.string(),
  Key: z.string(),
  Value: z.string().optional(),
  Flags: z.number().optional(),
  Index: z.number().optional(),
  Session: z.string().optional(),
});
const transactionRequest = z.array(z.object({ KV: operationRequest })).max(64);

/**
 * A server for tests that answers as Consul's HTTP API is documented to, in the part that the lease uses: catalog, sessions
 * with TTL and lock delay, key-value store with blocking queries, transactions. It is not Consul.
 */
export class ConsulStandIn {
  readonly #options: Required<Omit<ConsulStandInOptions, 'token'>> & Pick<ConsulStandInOptions, 'token'>;
  #state: ConsulStandInState;
  #server: Server | undefined;
  #port = 0;
  #frozen: PromiseWithResolvers<void> | undefined;

  private constructor(options: ConsulStandInOptions) {
    this.#options = { sessionTtlMinMs: 10_000, expiryFactor: 1, ...options };
    this.#state = this.#emptyState();
  }

  /** On a free port of loopback. The caller calls `stop`. */
  static async start(options: ConsulStandInOptions = {}): Promise<ConsulStandIn> {
    const standIn = new ConsulStandIn(options);
    await standIn.restart();
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get state(): ConsulStandInState {
    return this.#state;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.thaw();
    this.#state.stop();
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  /** On the same port, without its data if `emptied`. */
  async restart({ emptied = false } = {}): Promise<void> {
    if (emptied) this.#state = this.#emptyState();
    this.#state.start();
    const server = createServer((request, response) => void this.#serve(request, response));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** From here on requests are taken and not answered, until `thaw`. */
  freeze(): void {
    this.#frozen ??= Promise.withResolvers();
  }

  thaw(): void {
    this.#frozen?.resolve();
    this.#frozen = undefined;
  }

  #emptyState(): ConsulStandInState {
    return new ConsulStandInState({ factor: this.#options.expiryFactor });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const body = await textOf(request);
      await this.#frozen?.promise;
      const answer = await this.#answer(request, body, gone.signal);
      if (answer.index !== undefined) response.setHeader('X-Consul-Index', answer.index);
      response.statusCode = answer.status;
      const isText = typeof answer.body === 'string';
      response.setHeader('Content-Type', isText ? 'text/plain' : 'application/json');
      response.end(isText ? answer.body : JSON.stringify(answer.body));
    } catch (error) {
      if (!gone.signal.aborted) response.writeHead(400).end(`Request decode failed: ${error}`);
    }
  }

  async #answer(request: IncomingMessage, body: string, gone: AbortSignal): Promise<Answer> {
    const url = new URL(request.url ?? '/', this.url);
    const { token } = this.#options;
    if (token !== undefined && request.headers['x-consul-token'] !== token) {
      return { status: 403, body: 'ACL not found' };
    }
    const call = /^\/v1\/(catalog\/register|session\/\w+|kv|txn)(?:\/(.*))?$/.exec(url.pathname);
    const rest = decodeURIComponent(call?.[2] ?? '');
    switch (`${request.method} ${call?.[1]}`) {
      case 'PUT catalog/register':
        this.#state.nodes.add(z.object({ Node: z.string() }).parse(JSON.parse(body)).Node);
        return { status: 200, body: true };
      case 'PUT session/create':
        return this.#createSession(sessionRequest.parse(JSON.parse(body === '' ? '{}' : body)));
      case 'PUT session/renew':
        return this.#renewSession(rest);
      case 'PUT session/destroy':
        this.#state.endSession(rest);
        return { status: 200, body: true };
      case 'GET kv':
        return this.#get(rest, url.searchParams, gone);
      case 'PUT kv':
        return this.#put(rest, url.searchParams, body);
      case 'PUT txn':
        return this.#transact(transactionRequest.parse(JSON.parse(body)).map(({ KV }) => KV));
      default:
        return { status: 404, body: '' };
    }
  }

  #createSession(asked: z.output<typeof sessionRequest>): Answer {
    const { Name, Node, Checks = ['serfHealth'], Behavior, TTL } = asked;
    const ttlMs = TTL === '' ? 0 : milliseconds(TTL);
    const leastMs = this.#options.sessionTtlMinMs;
    if (ttlMs !== 0 && (ttlMs < leastMs || ttlMs > sessionTtlMaxMs)) {
      return failure(`Invalid Session TTL '${ttlMs * 1e6}', must be between [${leastMs / 1_000}s=24h0m0s]`);
    }
    if (!this.#state.nodes.has(Node)) return failure('Missing node registration');
    const missing = Checks.find((check) => Node !== 'agent' || check !== 'serfHealth');
    if (missing !== undefined) return failure(`Missing check '${missing}' registration`);
    if (Behavior !== 'release' && Behavior !== 'delete')
      return failure(`Invalid Behavior setting '${Behavior}'`);
    const lockDelayMs = Math.min(milliseconds(asked.LockDelay), 60_000);
    const session = { Name, Node, NodeChecks: Checks, Behavior, TTL, ttlMs, lockDelayMs } as const;
    return { status: 200, body: { ID: this.#state.addSession(session) } };
  }

  #renewSession(id: string): Answer {
    if (!/^[0-9a-f-]{36}$/.test(id)) return failure(`invalid session "${id}": invalid UUID`);
    const session = this.#state.renewSession(id);
    if (session === undefined) return { status: 404, body: `Session id '${id}' not found` };
    const { ID, Name, Node, NodeChecks, Behavior, TTL, lockDelayMs } = session;
    return {
      status: 200,
      body: [{ ID, Name, Node, NodeChecks, Behavior, TTL, LockDelay: lockDelayMs * 1e6 }],
    };
  }

  /** With `index`, answers once what was asked for has changed since, or `wait` and up to a sixteenth more is over. */
  async #get(key: string, query: URLSearchParams, gone: AbortSignal): Promise<Answer> {
    const since = Number(query.get('index') ?? 0);
    const isTree = query.has('recurse');
    const found = this.#find(key, isTree);
    if (since === 0 || found.index > since) return found;
    const asked = JSON.stringify(found.body);
    const waitMs = Math.min(milliseconds(query.get('wait') ?? '5m'), waitMsMax);
    const ended = AbortSignal.any([gone, AbortSignal.timeout(Math.ceil(waitMs * (1 + Math.random() / 16)))]);
    const state = this.#state;
    while (!ended.aborted) {
      // The timeout alone would not keep the process up, but the connection does.
      await once(state.changes, 'change', { signal: ended }).catch(() => undefined);
      const now = this.#find(key, isTree);
      if (JSON.stringify(now.body) !== asked) return now;
    }
    return this.#find(key, isTree);
  }

  #find(key: string, isTree: boolean): Answer & { readonly index: number } {
    const { entries, index } = this.#state;
    const found: Entry[] = [...entries.values()].filter(({ Key }) =>
      isTree ? Key.startsWith(key) : Key === key,
    );
    if (found.length === 0) return { status: 404, body: '', index };
    return { status: 200, body: found, index: Math.max(...found.map((entry) => entry.ModifyIndex)) };
  }

  #put(Key: string, query: URLSearchParams, body: string): Answer {
    const written = {
      Key,
      Value: Buffer.from(body).toString('base64'),
      Flags: Number(query.get('flags') ?? 0),
    };
    const [acquire, release, cas] = [query.get('acquire'), query.get('release'), query.get('cas')];
    let operation: Operation = { Verb: 'set', ...written };
    if (acquire !== null) operation = { Verb: 'lock', Session: acquire, ...written };
    else if (release !== null) operation = { Verb: 'unlock', Session: release, ...written };
    else if (cas !== null) operation = { Verb: 'cas', Index: Number(cas), ...written };
    return { status: 200, body: this.#state.transact([operation]).errors.length === 0 };
  }

  #transact(operations: Operation[]): Answer {
    const { results, errors } = this.#state.transact(operations);
    if (errors.length > 0) return { status: 409, body: { Results: null, Errors: errors } };
    const Results = results.map((entry) => ({ KV: { ...entry, Value: null } }));
    return { status: 200, body: { Results, Errors: null } };
  }
}

function failure(body: string): Answer {
  return { status: 500, body };
}

/** A duration as Go writes it, such as "1m30s". */
function milliseconds(duration: string): number {
  const parts = [...duration.matchAll(/([\d.]+)(ns|us|ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join('') !== duration)
    throw new Error(`time: invalid duration "${duration}"`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitsMs[unit ?? ''] ?? 0), 0);
}
