import { Agent, type IncomingMessage, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { z } from 'zod';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';

const answerBytesMax = 4 * 1024 * 1024;
const unauthenticated = 401;
/** Nothing was sent when one of these is met, so that the same request may go to another server. */
const notSent = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);

const authenticated = z.object({ token: z.string() });
const refusal = z.object({ message: z.string() });

type Server = { url: URL; agent: Agent };
type Credentials = { name: string; password: string };

/** etcd's JSON gateway (`/v3/…`) over one or several servers. All errors are `LEASE_UNREACHABLE`, without secrets. */
export class EtcdClient {
  readonly #servers: readonly Server[];
  readonly #credentials: Credentials | undefined;
  #current = 0;
  #authorization: string | undefined;

  /** `urls` are separated by commas; the name and the password of the first are used for all. Throws `CONFIG_INVALID`. */
  constructor(urls: string) {
    const parsed = urls.split(',').map((url) => parseUrl(url.trim()));
    const first = parsed[0];
    if (first !== undefined && first.username !== '') {
      const [name, password] = [first.username, first.password].map(decodeURIComponent) as [string, string];
      this.#credentials = { name, password };
    }
    this.#servers = parsed.map(({ protocol, host }) => {
      const agent =
        protocol === 'https:' ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
      return { url: new URL(`${protocol}//${host}`), agent };
    });
  }

  /**
   * One request and its answer. Where a server does not take the connection the next one is asked; after any other failure the
   * next call begins with the next server, since this request may have taken effect.
   */
  async call<Answer>(
    path: string,
    body: object,
    schema: z.ZodType<Answer>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const text = await this.#authorized(signal, async (server) =>
      readAll(await this.#post(server, path, body, signal)),
    );
    return this.#parsed(schema, text);
  }

  /** Waits until something between the keys (base64, the end left out) has changed since `revision`, or the stream ends. */
  async watch(key: string, end: string, revision: string, signal: AbortSignal): Promise<void> {
    const body = { create_request: { key, range_end: end, start_revision: revision } };
    await this.#authorized(signal, async (server) => {
      const answer = await this.#post(server, '/v3/watch', body, signal);
      let text = '';
      for await (const chunk of answer.setEncoding('utf8')) {
        text += chunk;
        // Values are in base64, so that these words are etcd's own. Leaving the loop ends the stream.
        if (/"events":|"canceled":|"error":/.test(text) || text.length > answerBytesMax) break;
      }
      return text;
    });
  }

  close(): void {
    for (const { agent } of this.#servers) agent.destroy();
  }

  async #authorized(signal: AbortSignal, ask: (server: Server) => Promise<string>): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#credentials !== undefined && this.#authorization === undefined) {
        await this.#authenticate(this.#credentials, signal);
      }
      try {
        return await this.#onSomeServer(signal, ask);
      } catch (error) {
        // Tokens end after minutes, and with every change of users. Nothing was done, so that asking again is safe.
        const isStale = error instanceof Refusal && error.isAuthentication && this.#credentials !== undefined;
        if (!isStale || attempt > 1) throw this.#unreachable(error);
        this.#authorization = undefined;
      }
    }
  }

  async #authenticate(credentials: Credentials, signal: AbortSignal): Promise<void> {
    let text: string;
    try {
      text = await this.#onSomeServer(signal, async (server) =>
        readAll(await this.#post(server, '/v3/auth/authenticate', credentials, signal)),
      );
    } catch (error) {
      throw this.#unreachable(error);
    }
    this.#authorization = this.#parsed(authenticated, text).token;
  }

  async #onSomeServer(signal: AbortSignal, ask: (server: Server) => Promise<string>): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      const server = this.#servers[this.#current] as Server;
      try {
        return await ask(server);
      } catch (error) {
        if (signal.aborted || !(error instanceof Refusal))
          this.#current = (this.#current + 1) % this.#servers.length;
        if (signal.aborted || attempt >= this.#servers.length || !notSent.has(systemCodeOf(error) ?? ''))
          throw error;
      }
    }
  }

  #post(server: Server, path: string, body: object, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const isSecure = server.url.protocol === 'https:';
    const text = JSON.stringify(body);
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    };
    if (this.#authorization !== undefined) headers.authorization = this.#authorization;
    const options = { method: 'POST', agent: server.agent, headers, signal };
    const sent = (isSecure ? secureRequest : request)(new URL(path, server.url), options);
    sent.on('error', reject);
    sent.once('response', (answer) => {
      if (answer.statusCode === 200) resolve(answer);
      else refusalOf(answer).then(reject, reject);
    });
    sent.end(text);
    return promise;
  }

  #parsed<Answer>(schema: z.ZodType<Answer>, text: string): Answer {
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      throw this.#unreachable(new Error('it answered with something that is not etcd’s'));
    }
  }

  #unreachable(error: unknown): SkeinError {
    if (error instanceof SkeinError) return error;
    const where = this.#servers.map(({ url }) => url.origin).join(', ');
    const isLate = error instanceof Error && error.name === 'AbortError';
    const why = isLate ? 'it did not answer in time, or the wait was given up' : messageOf(error);
    return new SkeinError(
      'LEASE_UNREACHABLE',
      `etcd at ${where} cannot be used: ${why}. Check [lease] url, and that etcd is up and has a leader.`,
      { cause: error },
    );
  }
}

class Refusal extends Error {
  readonly isAuthentication: boolean;

  constructor(status: number, message: string) {
    super(`it answered ${status}, ${message}`);
    this.isAuthentication = status === unauthenticated || /auth token|auth store is old/.test(message);
  }
}

async function refusalOf(answer: IncomingMessage): Promise<Refusal> {
  const text = await readAll(answer);
  const status = answer.statusCode ?? 0;
  try {
    return new Refusal(status, refusal.parse(JSON.parse(text)).message.slice(0, 200));
  } catch {
    return new Refusal(status, 'which is not etcd’s JSON gateway');
  }
}

async function readAll(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    text += chunk;
    if (text.length > answerBytesMax) throw new Error('its answer is too long');
  }
  return text;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  // The text may hold a password, so it is not repeated.
  throw new SkeinError(
    'CONFIG_INVALID',
    '[lease] url is not a list of http:// or https:// addresses of etcd, separated by commas.',
  );
}
