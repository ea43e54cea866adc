import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { messageOf, SkeinError } from '../base/errors.ts';
import { peerPath, peerUpgrade } from './frames.ts';

const connectTimeoutMs = 5_000;

export type Dialed = { readonly socket: Duplex; readonly head: Buffer };

/** Connects to another node's API for a link. Rejects with `NODE_UNREACHABLE` or `SECRET_WRONG`. */
export function dialPeer(url: string, secret: string | undefined, signal: AbortSignal): Promise<Dialed> {
  const { promise, resolve, reject } = Promise.withResolvers<Dialed>();
  const unreachable = (reason: string, cause?: unknown) =>
    new SkeinError('NODE_UNREACHABLE', `The node at ${url} cannot be reached: ${reason}.`, { cause });
  const target = new URL(peerPath, url);
  const call = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
    agent: false,
    timeout: connectTimeoutMs,
    signal,
    headers: {
      connection: 'upgrade',
      upgrade: peerUpgrade,
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
    },
  });
  call.on('timeout', () => call.destroy(new Error('it does not answer')));
  call.on('error', (error) => reject(unreachable(messageOf(error), error)));
  call.on('response', (response) => {
    response.resume();
    reject(
      response.statusCode === 401
        ? new SkeinError(
            'SECRET_WRONG',
            `The node at ${url} refuses this node's secret. Give all nodes of the app the same [node] secret (SKEIN_NODE_SECRET).`,
          )
        : unreachable(`it has no bus (HTTP status ${response.statusCode})`),
    );
    call.destroy();
  });
  call.on('upgrade', (_response, socket, head) => {
    socket.setTimeout(0);
    resolve({ socket, head });
  });
  call.end();
  return promise;
}
