import { Agent, type ClientRequestArgs, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { SkeinClientError } from './client-error.ts';
import type { NodeApi } from './node-api.ts';
import type { Place } from './place.ts';

const connectionsMax = 256;
const idleMax = 32;
/** Shorter than the five seconds after which a Node.js server ends a connection that is idle. */
const idleTimeoutMs = 4_000;
const openTimeoutMs = 10_000;
const protocol = 'skein-tunnel';

type Connected = (error: Error | null, socket: Duplex) => void;

/** Connections to the primary's door, or to its app, through the local node; kept for the next request. */
export class TunnelAgent extends Agent {
  readonly #place: Place;
  readonly #api: NodeApi;

  constructor(place: Place, api: NodeApi) {
    super({ keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: idleMax, timeout: idleTimeoutMs });
    this.#place = place;
    this.#api = api;
  }

  /** What is under way goes on; nothing new takes this way, and no connection is kept. */
  retire(): void {
    this.maxFreeSockets = 0;
    for (const sockets of Object.values(this.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  override createConnection(_options: ClientRequestArgs, connected?: Connected): Duplex | null | undefined {
    this.#open().then(
      (socket) => connected?.(null, socket),
      // The types ask for a socket that is not there.
      (error: unknown) => (connected as ((error: unknown) => void) | undefined)?.(error),
    );
    return undefined;
  }

  /** Rejects with `NO_PRIMARY`: nothing was sent to anybody then. */
  #open(): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const headers = { ...this.#api.headers, connection: 'Upgrade', upgrade: protocol };
      const call = request(new URL('/tunnel?to=primary', this.#place.api), { agent: false, headers });
      const fail = (reason: string, cause?: unknown) =>
        reject(new SkeinClientError('NO_PRIMARY', `No way to the primary: ${reason}.`, { cause }));
      const timer = setTimeout(() => call.destroy(new Error('no answer in time')), openTimeoutMs);
      call.on('close', () => clearTimeout(timer));
      call.on('error', (error) => fail(error.message, error));
      call.on('response', (answer) => {
        answer.resume();
        fail(`the node answered with status ${answer.statusCode}`);
      });
      call.on('upgrade', (_answer, socket, head) => {
        clearTimeout(timer);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      call.end();
    });
  }
}
