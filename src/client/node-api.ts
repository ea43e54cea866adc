import { Agent, type IncomingMessage, request } from 'node:http';
import { messageOf, SkeinClientError } from './client-error.ts';
import type { Place } from './place.ts';

const connectionsMax = 64;
const answerBytesMax = 4 * 1024 * 1024;
const answerTimeoutMs = 5_000;
/** How often a request is sent anew that met the end of a kept connection. */
const triesMax = 5;

export type ApiAnswer = { readonly status: number; readonly body: unknown };

/**
 * Requests to the local node's API, over connections that are kept and do not keep the process alive. All of them may be sent
 * twice: they ask, or wait.
 */
export class NodeApi {
  readonly #place: Place;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });

  constructor(place: Place) {
    this.#place = place;
  }

  get headers(): Record<string, string> {
    const { token } = this.#place;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** The answer, whatever its status. Rejects with `NODE_UNREACHABLE`, also when the signal aborts. */
  async call(
    method: 'GET' | 'POST',
    path: string,
    options: { body?: object; timeoutMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<ApiAnswer> {
    const { body, timeoutMs = answerTimeoutMs, signal } = options;
    const text = body && JSON.stringify(body);
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#send(method, path, text, timeoutMs, signal);
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        // The node ends connections that were idle for a while: this one was on its way meanwhile.
        if (error instanceof ConnectionEnded && tries < triesMax) continue;
        const why = messageOf(error instanceof ConnectionEnded ? error.cause : error);
        throw new SkeinClientError(
          'NODE_UNREACHABLE',
          `The node at ${this.#place.api.origin} does not answer (${why}). Is it running?`,
          { cause: error },
        );
      }
    }
  }

  /** An answer that goes on without end, once its head is there. Rejects as `call` does, and for a status that is not 200. */
  stream(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { api } = this.#place;
      const call = request(new URL(path, api), { agent: false, headers: this.headers, signal });
      call.on('socket', (socket) => socket.unref());
      call.on('error', reject);
      call.on('response', (answer) => {
        if (answer.statusCode === 200) {
          resolve(answer);
        } else {
          answer.resume();
          reject(new SkeinClientError('NODE_UNREACHABLE', `GET ${path}: status ${answer.statusCode}.`));
        }
      });
      call.end();
    });
  }

  #send(
    method: string,
    path: string,
    body: string | undefined,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | number> = this.headers;
      if (body !== undefined) {
        headers['content-type'] = 'application/json';
        headers['content-length'] = Buffer.byteLength(body);
      }
      const options = { method, headers, agent: this.#agent, ...(signal ? { signal } : {}) };
      const call = request(new URL(path, this.#place.api), options, (answer) => {
        readJson(answer).then(resolve, reject);
      });
      const timer = setTimeout(() => call.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
      call.on('close', () => clearTimeout(timer));
      call.on('error', (error: Error & { readonly code?: string }) => {
        const isEnd = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        reject(call.reusedSocket && isEnd ? new ConnectionEnded('it ended', { cause: error }) : error);
      });
      call.end(body);
    });
  }
}

/** A connection that was kept had ended before the node could have answered. */
class ConnectionEnded extends Error {}

async function readJson(answer: IncomingMessage): Promise<ApiAnswer> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer) {
    text += chunk;
    if (text.length > answerBytesMax) throw new Error('its answer is too long');
  }
  return { status: answer.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) };
}

/** The code of an answer that tells of an error; undefined for others. */
export function errorCodeOf({ body }: ApiAnswer): string | undefined {
  const { error } = (body ?? {}) as { error?: { code?: unknown } };
  return typeof error?.code === 'string' ? error.code : undefined;
}

/** The message of such an answer. */
export function errorTextOf({ status, body }: ApiAnswer): string {
  const { error } = (body ?? {}) as { error?: { message?: unknown } };
  return typeof error?.message === 'string' ? error.message : `The node answered with status ${status}.`;
}
