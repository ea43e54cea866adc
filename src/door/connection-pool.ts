import type { Tunnel } from './open-tunnel.ts';
import { type Quiet, UpstreamConnection } from './upstream-connection.ts';
import { WaitingLine } from './waiting-line.ts';

export type ConnectionPoolParts = {
  /** Rejects when the other side cannot be reached. */
  open(): Promise<Tunnel>;
  readonly headBytesMax: number;
  /** Open at once, in use or idle, with those that have become plain pipes. */
  readonly connectionsMax: number;
  /** How long a request beyond that waits for one. */
  readonly waitMs: number;
  /** After this time an idle connection is closed; sooner when the other side says so. */
  readonly idleMs: number;
  /** The door's coarse clock. */
  nowMs(): number;
  /** A request got no connection in time. */
  refused?(): void;
};

const idleConnectionsMax = 256;
const waitingMax = 2_000;
/** The other side closes at its time; what is sent then is lost. */
const marginMs = 1_000;
const restMs = 1_000;
const never = new AbortController().signal;

/** Connections to one place, kept between requests. */
export class ConnectionPool {
  readonly #parts: ConnectionPoolParts;
  /** The one used last at the end. */
  readonly #idle: UpstreamConnection[] = [];
  /** Idle too, but not to be used for a moment. */
  readonly #resting = new Set<UpstreamConnection>();
  readonly #all = new Set<UpstreamConnection>();
  #opening = 0;
  /** For a connection that has come free, or for room to open one. */
  readonly #line = new WaitingLine<UpstreamConnection | 'room'>(waitingMax);
  /** The app here has written a body where there is none. */
  #isLoose = false;
  #isStopped = false;

  constructor(parts: ConnectionPoolParts) {
    this.#parts = parts;
  }

  /** With those that are being opened. */
  get openCount(): number {
    return this.#all.size + this.#opening;
  }

  get isFull(): boolean {
    return this.openCount >= this.#parts.connectionsMax;
  }

  get waitingCount(): number {
    return this.#line.length;
  }

  get hasIdle(): boolean {
    return [...this.#idle, ...this.#resting].some(({ isOpen }) => isOpen);
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

  /**
   * A new one; where there are as many as there may be, the next that comes free. Undefined when none does in time, when too many
   * wait already, or when the request's `signal` aborts. Rejects when the other side cannot be reached.
   */
  async open(
    request: { readonly signal: AbortSignal } = { signal: never },
  ): Promise<UpstreamConnection | undefined> {
    if (!this.isFull || this.#giveUpIdle()) {
      this.#opening += 1;
      return this.#openNow();
    }
    const { signal } = request;
    const found = await this.#line.wait(this.#parts.waitMs, signal);
    if (found === 'room') return this.#openNow();
    if (!found && !signal.aborted && !this.#isStopped) this.#parts.refused?.();
    return found;
  }

  /** It can serve another request. */
  readonly release = (connection: UpstreamConnection): void => {
    if (this.#isStopped || !connection.isOpen) connection.abandon();
    else if (this.#line.hand(connection)) return;
    else if (this.#idle.length >= idleConnectionsMax) connection.abandon();
    else {
      connection.idleSinceMs = this.#parts.nowMs();
      this.#idle.push(connection);
    }
  };

  /** Closes what has been idle for too long. */
  sweep(nowMs: number): void {
    for (const connection of this.#resting) {
      if (nowMs - connection.idleSinceMs < restMs) continue;
      this.#resting.delete(connection);
      // As old as it is: what was idle for a second is not for every request.
      this.#idle.unshift(connection);
    }
    for (const connection of [...this.#idle]) {
      const { idleMs } = this.#parts;
      const keepMs = Math.min(idleMs, (connection.keepMs ?? idleMs + marginMs) - marginMs);
      if (nowMs - connection.idleSinceMs >= keepMs) connection.abandon();
    }
  }

  /** Closes those that are idle, and the others when they are. Nobody gets another one. */
  stop(): void {
    this.#isStopped = true;
    this.#line.end();
    for (const connection of [...this.#idle, ...this.#resting]) connection.abandon();
  }

  destroy(): void {
    this.stop();
    for (const connection of [...this.#all]) connection.abandon();
  }

  /** There is room for it, and it is counted already. */
  async #openNow(): Promise<UpstreamConnection> {
    try {
      const tunnel = await this.#parts.open();
      const connection = new UpstreamConnection(tunnel, this.#parts.headBytesMax, {
        released: this.release,
        quiet: this.#rest,
        loose: () => {
          this.#isLoose = true;
        },
        gone: this.#gone,
      });
      this.#opening -= 1;
      this.#all.add(connection);
      if (this.#isStopped) tunnel.socket.destroy();
      return connection;
    } catch (error) {
      this.#opening -= 1;
      this.#offerRoom();
      throw error;
    }
  }

  /** Its response had no body. */
  readonly #rest = (connection: UpstreamConnection, quiet: Quiet): void => {
    const isWanted = this.#line.length === 0 && this.#resting.size < idleConnectionsMax;
    if (this.#isLoose || this.#isStopped || (quiet === 'rest' && !isWanted)) connection.abandon();
    else if (quiet === 'rest') {
      connection.idleSinceMs = this.#parts.nowMs();
      this.#resting.add(connection);
    }
    // What has come by now is read before the second of these.
    else setImmediate(() => setImmediate(this.release, connection));
  };

  /** Closes one that is idle, and was not wanted, so that another can be opened. */
  #giveUpIdle(): boolean {
    const [connection = this.#idle[0]] = this.#resting;
    if (!connection) return false;
    this.#forget(connection);
    connection.abandon();
    return true;
  }

  readonly #gone = (connection: UpstreamConnection): void => {
    if (this.#forget(connection)) this.#offerRoom();
  };

  /** False when it was forgotten already. */
  #forget(connection: UpstreamConnection): boolean {
    this.#resting.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    return this.#all.delete(connection);
  }

  #offerRoom(): void {
    if (this.isFull || this.#isStopped) return;
    // Counted before it is taken: nobody who comes now is to be faster.
    this.#opening += 1;
    if (!this.#line.hand('room')) this.#opening -= 1;
  }
}
