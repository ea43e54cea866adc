import { connect, type Socket } from 'node:net';
import { ConnectionPool } from './connection-pool.ts';
import { openTunnel, type Tunnel } from './open-tunnel.ts';
import { SilenceWatch } from './silence-watch.ts';

/** Kept shorter than the other door keeps them. */
const tunnelIdleMs = 20_000;
const appIdleMs = 4_000;
const appTimeoutMs = 5_000;
const poolsMax = 1_000;

export type NodePoolsParts = {
  readonly appPort: number;
  readonly secret: string | undefined;
  readonly headBytesMax: number;
  nowMs(): number;
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
    const { headBytesMax, appPort } = parts;
    const nowMs = () => parts.nowMs();
    this.app = new ConnectionPool({ open: () => openApp(appPort), headBytesMax, idleMs: appIdleMs, nowMs });
  }

  to(url: string): ConnectionPool {
    const known = this.#tunnels.get(url);
    if (known) return known;
    const { headBytesMax, secret } = this.#parts;
    const open = async () => {
      const tunnel = await openTunnel({ url, secret }, this.#stopping.signal);
      this.#silence.add(url, tunnel.socket);
      return tunnel;
    };
    const nowMs = () => this.#parts.nowMs();
    const pool = new ConnectionPool({ open, headBytesMax, idleMs: tunnelIdleMs, nowMs });
    if (this.#tunnels.size < poolsMax) this.#tunnels.set(url, pool);
    return pool;
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
