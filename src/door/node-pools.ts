import { connect, type Socket } from 'node:net';
import { ConnectionPool, type ConnectionPoolParts } from './connection-pool.ts';
import { openTunnel, type Tunnel } from './open-tunnel.ts';
import { SilenceWatch } from './silence-watch.ts';

/** Kept shorter than the other door keeps them. */
const tunnelIdleMs = 20_000;
const appIdleMs = 4_000;
const appTimeoutMs = 5_000;
const poolsMax = 1_000;
/** To one node: as many as that takes from all. */
const tunnelsMax = 4_000;
/** How long a request waits for a connection where there are as many as there may be. */
const waitMs = 5_000;

export type NodePoolsParts = {
  readonly appPort: number;
  readonly appConnectionsMax: number;
  readonly secret: string | undefined;
  readonly headBytesMax: number;
  nowMs(): number;
  /** A request got no connection in time. */
  refused(): void;
};

/** Connections to the app of this node, and through tunnels to the doors of others. */
export class NodePools {
  readonly app: ConnectionPool;
  readonly #parts: NodePoolsParts;
  /** By the URL of the node's API. */
  readonly #tunnels = new Map<string, ConnectionPool>();
  readonly #silence: SilenceWatch;
  readonly #stopping = new AbortController();

  constructor(parts: NodePoolsParts) {
    this.#parts = parts;
    this.#silence = new SilenceWatch(parts.secret);
    this.app = new ConnectionPool({
      ...this.#common,
      open: () => openApp(parts.appPort),
      connectionsMax: parts.appConnectionsMax,
      idleMs: appIdleMs,
    });
  }

  to(url: string): ConnectionPool {
    const known = this.#tunnels.get(url);
    if (known) return known;
    const { secret } = this.#parts;
    const open = async () => {
      const tunnel = await openTunnel({ url, secret }, this.#stopping.signal);
      this.#silence.add(url, tunnel.socket);
      return tunnel;
    };
    const pool = new ConnectionPool({
      ...this.#common,
      open,
      connectionsMax: tunnelsMax,
      idleMs: tunnelIdleMs,
    });
    if (this.#tunnels.size < poolsMax) this.#tunnels.set(url, pool);
    return pool;
  }

  get #common(): Pick<ConnectionPoolParts, 'headBytesMax' | 'waitMs' | 'nowMs' | 'refused'> {
    const { headBytesMax } = this.#parts;
    const nowMs = () => this.#parts.nowMs();
    return { headBytesMax, waitMs, nowMs, refused: () => this.#parts.refused() };
  }

  sweep(nowMs: number): void {
    this.app.sweep(nowMs);
    for (const [url, pool] of this.#tunnels) {
      pool.sweep(nowMs);
      if (pool.openCount === 0) this.#tunnels.delete(url);
    }
  }

  /** Ends all connections. */
  stop(): void {
    this.#stopping.abort();
    this.#silence.stop();
    for (const pool of [this.app, ...this.#tunnels.values()]) pool.destroy();
  }
}

export async function openApp(port: number): Promise<Tunnel> {
  return { socket: await connectTo(port), againMark: undefined };
}

/** Rejects with the system's error. The socket is half-open, and has no listeners. */
function connectTo(port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), appTimeoutMs);
  socket.once('error', reject);
  socket.once('connect', () => {
    clearTimeout(timer);
    socket.off('error', reject);
    resolve(socket);
  });
  return promise.finally(() => clearTimeout(timer));
}
