import type { Tunnel } from './open-tunnel.ts';
import { UpstreamConnection } from './upstream-connection.ts';

export type ConnectionPoolParts = {
  /** Rejects when the other side cannot be reached. */
  open(): Promise<Tunnel>;
  readonly headBytesMax: number;
  /** After this time an idle connection is closed; sooner when the other side says so. */
  readonly idleMs: number;
  /** The door's coarse clock. */
  nowMs(): number;
};

const idleConnectionsMax = 256;
/** The other side closes at its time; what is sent then is lost. */
const marginMs = 1_000;

/** Connections to one place, kept between requests. */
export class ConnectionPool {
  readonly #parts: ConnectionPoolParts;
  /** The one used last at the end. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  #isStopped = false;

  constructor(parts: ConnectionPoolParts) {
    this.#parts = parts;
  }

  get openCount(): number {
    return this.#all.size;
  }

  get hasIdle(): boolean {
    return this.#idle.some(({ isOpen }) => isOpen);
  }

  /** One that is open and was idle for no longer than `idleMsMax`; undefined if there is none. */
  take(idleMsMax: number): UpstreamConnection | undefined {
    const nowMs = this.#parts.nowMs();
    for (;;) {
      const connection = this.#idle.at(-1);
      if (!connection) return undefined;
      if (connection.isOpen && nowMs - connection.idleSinceMs > idleMsMax) return undefined;
      this.#idle.pop();
      if (connection.isOpen) return connection;
    }
  }

  /** A new one. Rejects when the other side cannot be reached. */
  async open(): Promise<UpstreamConnection> {
    const tunnel = await this.#parts.open();
    const connection = new UpstreamConnection(tunnel, this.#parts.headBytesMax, this.release, (gone) => {
      this.#all.delete(gone);
      const index = this.#idle.indexOf(gone);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    this.#all.add(connection);
    if (this.#isStopped) tunnel.socket.destroy();
    return connection;
  }

  /** It can serve another request. */
  readonly release = (connection: UpstreamConnection): void => {
    if (this.#isStopped || this.#idle.length >= idleConnectionsMax) {
      connection.abandon();
      return;
    }
    connection.idleSinceMs = this.#parts.nowMs();
    this.#idle.push(connection);
  };

  /** Closes what has been idle for too long. */
  sweep(nowMs: number): void {
    for (const connection of [...this.#idle]) {
      const { idleMs } = this.#parts;
      const keepMs = Math.min(idleMs, (connection.keepMs ?? idleMs + marginMs) - marginMs);
      if (nowMs - connection.idleSinceMs >= keepMs) connection.abandon();
    }
  }

  /** Closes those that are idle, and the others when they are. */
  stop(): void {
    this.#isStopped = true;
    for (const connection of [...this.#idle]) connection.abandon();
  }

  destroy(): void {
    this.stop();
    for (const connection of [...this.#all]) connection.abandon();
  }
}
