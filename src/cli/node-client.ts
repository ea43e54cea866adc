import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type ErrorCode, exitCodes, messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { formatListenAddress, isWildcard } from '../config/listen-address.ts';
import { loadConfig } from '../config/load-config.ts';
import type { VerbInput } from './verb.ts';

export type RequestBody = {
  readonly stream: Readable;
  readonly bytes: number | undefined;
  readonly type: string;
};

/** What a request may carry. `idleMs` bounds silence; 0 is for streams that may stay silent. */
export type NodeRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly idleMs: number;
  readonly signal?: AbortSignal;
};

const answerBytesMax = 16 * 1024 ** 2;
const errorAnswer = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** The control API of one node, as the verbs use it. */
export class NodeClient {
  readonly url: string;
  readonly #secret: string | undefined;

  /** `url` is an origin, such as "http://127.0.0.1:20202". */
  constructor(url: string, secret: string | undefined) {
    this.url = url;
    this.#secret = secret;
  }

  /** Another node of the same cluster, which has the same secret. */
  at(url: string): NodeClient {
    return new NodeClient(url, this.#secret);
  }

  /** The answer to a request that the node fulfils; the caller reads its body. Throws what the node refused with. */
  async open(request: NodeRequest): Promise<IncomingMessage> {
    const answer = await this.#send(request);
    if (answer.statusCode === 200) return answer;
    throw await this.#refusal(answer);
  }

  /** The JSON of an answer, as `schema` has it. Throws PROTOCOL_INVALID if it is anything else. */
  async json<T>(request: NodeRequest, schema: z.ZodType<T>): Promise<T> {
    const answer = await this.open(request);
    const result = schema.safeParse(parseJson(await this.#text(answer)));
    if (result.success) return result.data;
    const where = result.error.issues[0]?.path.join('.') ?? '';
    const what = `${this.url} answered ${request.path} in a form that this Skein does not know (at "${where}")`;
    throw new SkeinError('PROTOCOL_INVALID', `${what}. Is it a Skein node, of this version?`);
  }

  /** An error of the connection, in the words of one who has to do something about it. */
  failure(error: unknown): SkeinError {
    if (error instanceof SkeinError) return error;
    const code = systemCodeOf(error);
    const advice = 'Start one with `skein run`, or name another by --url or SKEIN_API.';
    const what =
      code === 'ECONNREFUSED'
        ? `No node answers at ${this.url}`
        : `The connection to ${this.url} failed: ${messageOf(error)}`;
    return new SkeinError('NODE_UNREACHABLE', `${what}. ${advice}`, { cause: error });
  }

  #send({ method, path, query = {}, body, idleMs, signal }: NodeRequest): Promise<IncomingMessage> {
    const url = new URL(path, this.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const headers: Record<string, string> = { 'user-agent': 'skein' };
    if (this.#secret !== undefined) headers.authorization = `Bearer ${this.#secret}`;
    if (body !== undefined) headers['content-type'] = body.type;
    if (body?.bytes !== undefined) headers['content-length'] = String(body.bytes);
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? requestHttps : requestHttp;
      const request = send(url, { method, headers, signal, agent: false });
      request.on('response', resolve);
      request.on('error', (error) => reject(signal?.aborted === true ? error : this.failure(error)));
      if (idleMs > 0) request.setTimeout(idleMs, () => request.destroy(silence(idleMs)));
      if (body === undefined) request.end();
      else {
        // Before the pipeline's own listener, which turns a failed source into a broken connection.
        body.stream.on('error', (error) => reject(this.failure(error)));
        // A node that refuses early closes the connection: then its answer counts, not the broken pipe.
        pipeline(body.stream, request).catch(() => undefined);
      }
    });
  }

  async #refusal(answer: IncomingMessage): Promise<SkeinError> {
    const text = await this.#text(answer);
    const result = errorAnswer.safeParse(parseJson(text));
    if (!result.success) {
      const what = `${this.url} answered with HTTP status ${answer.statusCode} and no reason`;
      return new SkeinError('PROTOCOL_INVALID', `${what}. Is it a Skein node?`);
    }
    const { code, message } = result.data.error;
    return new SkeinError(isErrorCode(code) ? code : 'PROTOCOL_INVALID', message);
  }

  async #text(answer: IncomingMessage): Promise<string> {
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const part of answer) {
        bytes += part.length;
        if (bytes > answerBytesMax)
          throw new SkeinError('PROTOCOL_INVALID', `${this.url} sent an endless answer.`);
        parts.push(part);
      }
    } catch (error) {
      throw this.failure(error);
    }
    return Buffer.concat(parts).toString('utf8');
  }
}

/** A body that is a value as JSON. */
export function jsonBody(value: object): RequestBody {
  const bytes = Buffer.from(JSON.stringify(value));
  return { stream: Readable.from([bytes]), bytes: bytes.length, type: 'application/json' };
}

/** The node that a verb is about: --url, else SKEIN_API, else where the configured node listens. Throws USAGE. */
export function clientFor(
  { env, cwd }: VerbInput,
  configArgv: readonly string[],
  givenUrl: string | undefined,
): NodeClient {
  const { node } = loadConfig({ argv: configArgv, env, cwd });
  const { host, port } = node.listen;
  const local = isWildcard(host) ? { host: host === '::' ? '::1' : '127.0.0.1', port } : node.listen;
  const text = givenUrl ?? (env.SKEIN_API || `http://${formatListenAddress(local)}`);
  const url = URL.parse(text);
  // A command that the node runs has its token in place of the secret, which is good for what an app may ask.
  const secret = node.secret ?? (env.SKEIN_TOKEN || undefined);
  if (url !== null && /^https?:$/.test(url.protocol)) return new NodeClient(url.origin, secret);
  const name = givenUrl === undefined ? 'SKEIN_API' : '--url';
  throw new SkeinError(
    'USAGE',
    `${name} is "${text}"; allowed: an http or https URL, such as http://10.0.0.5:20202.`,
  );
}

function silence(idleMs: number): Error {
  return new Error(`nothing was heard for ${Math.round(idleMs / 1000)} s`);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(exitCodes, code);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
