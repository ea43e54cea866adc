import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, type Socket } from 'node:net';
import { SkeinError } from '../base/errors.ts';
import { againHeader } from './hop.ts';

/** One path for all tunnels of the API; what they lead to is in the query. */
export const tunnelPath = '/tunnel';
export const tunnelProtocol = 'skein-tunnel';

const openTimeoutMs = 5_000;
const refusalBytesMax = 4_096;

export type TunnelTarget = {
  /** Origin of the API of the node that is asked. */
  readonly url: string;
  readonly secret: string | undefined;
  /** Where it is to lead; by default to what lies behind the node that is asked. */
  readonly to?: string;
  /** How many nodes have passed this on. */
  readonly hops?: number;
};

export type Tunnel = {
  readonly socket: Socket;
  /** By this the door at the other end tells that nothing was done; undefined where there is no door. */
  readonly againMark: string | undefined;
};

/**
 * Opens a byte pipe to a node's door, through its API. The socket is half-open where the system's are, and has no listeners.
 * Rejects with `NODE_UNREACHABLE` when the node does not answer or does not take part, or when `signal` aborts.
 */
export function openTunnel(target: TunnelTarget, signal?: AbortSignal): Promise<Tunnel> {
  const { promise, resolve, reject } = Promise.withResolvers<Tunnel>();
  const request = requestTunnel(target);
  const fail = (reason: string, cause?: unknown) =>
    reject(
      new SkeinError('NODE_UNREACHABLE', `There is no tunnel to the node at ${target.url}: ${reason}.`, {
        cause,
      }),
    );
  // No `signal` of the request's own: that would end the socket also after the upgrade.
  const timer = setTimeout(() => request.destroy(new Error('it does not answer in time')), openTimeoutMs);
  const abort = () => request.destroy(new Error('it is not wanted any more'));
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  request.once('upgrade', ({ headers }, socket: Socket, head: Buffer) => {
    request.off('error', fail);
    if (head.length > 0) socket.unshift(head);
    const againMark = headers[againHeader];
    resolve({ socket, againMark: typeof againMark === 'string' ? againMark : undefined });
  });
  request.once('response', (response) => {
    void refusalOf(response).then((text) => {
      fail(`it answers ${response.statusCode} ${text}`);
      request.destroy();
    });
  });
  request.on('error', (error) => fail(error.message, error));
  request.end();
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  });
}

function requestTunnel({ url, secret, to, hops }: TunnelTarget): ClientRequest {
  const target = new URL(tunnelPath, url);
  if (to !== undefined) target.searchParams.set('to', to);
  if (hops !== undefined) target.searchParams.set('hops', String(hops));
  const headers = {
    connection: 'Upgrade',
    upgrade: tunnelProtocol,
    ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
  };
  if (target.protocol === 'https:') return requestHttps(target, { headers, agent: false });
  return requestHttp(target, {
    headers,
    createConnection: () => {
      const host = target.hostname.replace(/^\[|\]$/g, '');
      // A client that has said all it has to say still waits for its answer.
      const socket = connect({ host, port: Number(target.port || 80), allowHalfOpen: true });
      return socket.setNoDelay();
    },
  });
}

async function refusalOf(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  try {
    for await (const chunk of response) {
      text += chunk;
      if (text.length > refusalBytesMax) break;
    }
    const body = JSON.parse(text) as { error?: { message?: unknown } };
    return String(body.error?.message ?? '');
  } catch {
    return text.slice(0, 80);
  }
}
