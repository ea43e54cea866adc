import { z } from 'zod';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';

/** One entry of Consul's key-value store; the value is base64, and null when it is empty. */
const entry = z.object({
  Key: z.string(),
  Value: z.string().nullable(),
  Flags: z.number(),
  ModifyIndex: z.number(),
  Session: z.string().optional(),
});
export type ConsulEntry = z.output<typeof entry>;

/** One step of a transaction. Fields that the verb does not use are left out. */
export type ConsulOperation = {
  readonly Verb: 'cas' | 'lock' | 'unlock' | 'check-session' | 'delete';
  readonly Key: string;
  readonly Value?: string;
  readonly Flags?: number;
  /** What the entry's index must be; 0: it must not exist. */
  readonly Index?: number;
  readonly Session?: string;
};

type Request = {
  readonly method: 'GET' | 'PUT';
  readonly path: string;
  readonly query?: string;
  readonly body?: unknown;
  /** Statuses besides 200 that are answers and no failures. */
  readonly statuses?: readonly number[];
  readonly signal: AbortSignal;
};
type Answer = { readonly status: number; readonly index: number; readonly text: string };

const answerBytesMax = 8 * 1024 ** 2;

/** The few calls of Consul's HTTP API that the lease makes. All throw `LEASE_UNREACHABLE`. */
export class ConsulClient {
  /** The address without its token, for messages. */
  readonly server: string;
  /** What the path of the address says that all names begin with: empty, or with a slash at its end. */
  readonly prefix: string;
  readonly #origin: string;
  readonly #token: string;

  /** `url` is `http[s]://[:TOKEN@]HOST:PORT[/PREFIX]`. Throws `CONFIG_INVALID`. */
  constructor(url: string) {
    const parsed = URL.parse(url);
    if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) throw notConsul();
    try {
      this.prefix = decodeURIComponent(parsed.pathname).replace(/^\/+|\/+$/g, '');
      this.#token = decodeURIComponent(parsed.password);
    } catch {
      throw notConsul();
    }
    if (this.prefix !== '') this.prefix += '/';
    this.#origin = parsed.origin;
    this.server = `${parsed.origin}${parsed.pathname}`;
  }

  /** The entry, or undefined, and the index from which `waitForChange` goes on. As of now, whoever leads the servers. */
  async get(key: string, signal: AbortSignal): Promise<{ entry: ConsulEntry | undefined; index: number }> {
    const { status, index, text } = await this.#ask({
      method: 'GET',
      path: `/v1/kv/${pathOf(key)}`,
      query: 'consistent',
      statuses: [404],
      signal,
    });
    return { entry: status === 404 ? undefined : this.#parse(z.tuple([entry]), text)[0], index };
  }

  async list(prefix: string, signal: AbortSignal): Promise<ConsulEntry[]> {
    const path = `/v1/kv/${pathOf(prefix)}`;
    const { status, text } = await this.#ask({
      method: 'GET',
      path,
      query: 'recurse',
      statuses: [404],
      signal,
    });
    return status === 404 ? [] : this.#parse(z.array(entry), text);
  }

  /** Resolves when the entry was written after `index`, and after about `waitMs`; may do so early. */
  async waitForChange(key: string, index: number, waitMs: number, signal: AbortSignal): Promise<void> {
    // An index of 0 would not wait at all.
    const query = `index=${Math.max(1, index)}&wait=${Math.ceil(waitMs)}ms`;
    await this.#ask({ method: 'GET', path: `/v1/kv/${pathOf(key)}`, query, statuses: [404], signal });
  }

  /** Does all or nothing; false when a check failed or a lock was not to be had. */
  async transact(operations: readonly ConsulOperation[], signal: AbortSignal): Promise<boolean> {
    const body = operations.map((operation) => ({ KV: operation }));
    const { status, text } = await this.#ask({
      method: 'PUT',
      path: '/v1/txn',
      body,
      statuses: [409],
      signal,
    });
    if (status === 200) return true;
    // The reasons name sessions, and a session is the token of a hold: they go into no message.
    if (!/permission denied/i.test(text)) return false;
    throw this.#failure('refuses the transaction: the token lacks a permission for the keys');
  }

  /**
   * A session on a node that is in the catalog for this only, and without health checks: nothing but its TTL ends it. One on
   * an agent's own node would end with that agent, before its holder knows.
   */
  async createSession(
    { behavior, ttlMs, lockDelayMs }: { behavior: 'release' | 'delete'; ttlMs: number; lockDelayMs: number },
    signal: AbortSignal,
  ): Promise<string> {
    const Node = `${this.prefix}skein`;
    // Each time: a store that was emptied forgot the node. The address is not used.
    await this.#ask({
      method: 'PUT',
      path: '/v1/catalog/register',
      body: { Node, Address: 'localhost' },
      signal,
    });
    const times = { TTL: `${ttlMs}ms`, LockDelay: `${lockDelayMs}ms` };
    const body = { Name: 'skein', Node, Checks: [], Behavior: behavior, ...times };
    const { text } = await this.#ask({ method: 'PUT', path: '/v1/session/create', body, signal });
    return this.#parse(z.object({ ID: z.string() }), text).ID;
  }

  /** False when the session is over. */
  async renewSession(id: string, signal: AbortSignal): Promise<boolean> {
    const path = `/v1/session/renew/${pathOf(id)}`;
    return (await this.#ask({ method: 'PUT', path, statuses: [404], signal })).status === 200;
  }

  async destroySession(id: string, signal: AbortSignal): Promise<void> {
    await this.#ask({ method: 'PUT', path: `/v1/session/destroy/${pathOf(id)}`, signal });
  }

  async #ask({ method, path, query, body, statuses = [], signal }: Request): Promise<Answer> {
    const headers: Record<string, string> = { 'user-agent': 'skein' };
    if (this.#token !== '') headers['x-consul-token'] = this.#token;
    const init: RequestInit = { method, headers, signal, redirect: 'error' };
    if (body !== undefined) init.body = JSON.stringify(body);
    let answer: Answer;
    try {
      const response = await fetch(`${this.#origin}${path}${query === undefined ? '' : `?${query}`}`, init);
      const index = Number(response.headers.get('x-consul-index') ?? 0);
      answer = { status: response.status, index, text: await textOf(response) };
    } catch (error) {
      throw this.#failure(whatFailed(error, signal), error);
    }
    if (answer.status === 200 || statuses.includes(answer.status)) return answer;
    if (answer.status === 403) throw this.#failure('refuses the token, or the token lacks a permission');
    throw this.#failure(`answered with status ${answer.status}: ${answer.text.trim().slice(0, 160)}`);
  }

  #parse<T>(schema: z.ZodType<T>, text: string): T {
    try {
      return schema.parse(JSON.parse(text));
    } catch (error) {
      throw this.#failure('answered in a form that is not that of Consul', error);
    }
  }

  #failure(what: string, cause?: unknown): SkeinError {
    const message = `The lease store at ${this.server} ${what}. Check that Consul runs and that [lease] url names it.`;
    return new SkeinError('LEASE_UNREACHABLE', message, { cause });
  }
}

function whatFailed(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) {
    const isLate = signal.reason instanceof Error && signal.reason.name === 'TimeoutError';
    return isLate ? 'did not answer in time' : 'was not waited for';
  }
  // `fetch` says no more than that it failed; what did is in the cause.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return `failed: ${messageOf(cause) || systemCodeOf(cause)}`;
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** A key as the path of an address: its slashes stay. */
function pathOf(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/');
}

function notConsul(): SkeinError {
  const advice =
    'Write http://HOST:PORT, with the token and a prefix for keys where there are any: http://:TOKEN@HOST:PORT/PREFIX.';
  return new SkeinError('CONFIG_INVALID', `[lease] url is no address of a Consul. ${advice}`);
}
