import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { ClientConnection, type ConnectionOwner } from './client-connection.ts';
import type { ConnectionLimits, DoorShared } from './door-shared.ts';
import type { KeptBodies } from './kept-body.ts';
import { type ForwardedTrust, Peer } from './peer.ts';
import type { Router } from './route.ts';

export type DoorOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly router: Router;
  readonly limits: ConnectionLimits;
  readonly connectionsMax: number;
  readonly replayBytesMax: number;
  readonly trust: ForwardedTrust;
  /** Called some times a second, with the coarse clock. */
  readonly swept?: (nowMs: number) => void;
};

const sweepMs = 250;
/** For all requests together. */
const keptBytesMax = 64 << 20;
const keepAliveMs = 60_000;

/** HTTP/1.1 in front of an app: takes connections in, and ends those that do not get on. */
export class Door implements DoorShared, ConnectionOwner {
  readonly router: Router;
  readonly limits: ConnectionLimits;
  readonly keptBodies: KeptBodies;
  readonly #options: DoorOptions;
  readonly #server: Server;
  readonly #connections = new Set<ClientConnection>();
  /** Ends of connections that have become plain pipes. */
  readonly #pipes = new Set<Duplex>();
  readonly #sweeping: NodeJS.Timeout;
  #nowMs = monotonicMs();
  #isDraining = false;
  #isStopped = false;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.router = options.router;
    this.limits = options.limits;
    this.keptBodies = { bytesMax: keptBytesMax, bytesMaxOfOne: options.replayBytesMax, bytes: 0 };
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs },
      (socket) => this.#take(socket, Peer.at(socket.remoteAddress, options.trust)),
    );
    this.#server.maxConnections = options.connectionsMax;
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get pipeCount(): number {
    return this.#pipes.size / 2;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Throws `PORT_IN_USE`. */
  listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', (error) => {
      const why = systemCodeOf(error) === 'EADDRINUSE' ? 'another program listens there' : messageOf(error);
      const advice = 'Stop it, or set [http] listen to another address of this machine.';
      reject(
        new SkeinError('PORT_IN_USE', `The door cannot listen on ${host}:${port}: ${why}. ${advice}`, {
          cause: error,
        }),
      );
    });
    this.#server.listen({ host, port, backlog: 4_096 }, () => resolve());
    return promise;
  }

  /** Serves a socket that came another way: the end of a tunnel, with the mark that its other end was told. */
  enter(socket: Duplex, againMark: string): void {
    this.#take(socket, Peer.tunnel(againMark));
  }

  /** Takes no more connections but those of other nodes, which are told to go elsewhere, and waits up to `timeoutMs` until all requests are answered. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    if (this.#server.listening) this.#server.close();
    for (const connection of this.#connections) connection.drain();
    const untilMs = monotonicMs() + timeoutMs;
    while ([...this.#connections].some(({ isIdle }) => !isIdle) && monotonicMs() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, 20));
    for (const connection of this.#connections) connection.giveUp();
  }

  /** Ends everything. */
  stop(): void {
    this.#isDraining = true;
    this.#isStopped = true;
    clearInterval(this.#sweeping);
    if (this.#server.listening) this.#server.close();
    for (const connection of this.#connections) connection.destroy();
    for (const socket of this.#pipes) socket.destroy();
  }

  closed(connection: ClientConnection): void {
    this.#connections.delete(connection);
  }

  joined(one: Duplex, other: Duplex): void {
    for (const socket of [one, other]) {
      this.#pipes.add(socket);
      socket.once('close', () => this.#pipes.delete(socket));
    }
  }

  #take(socket: Duplex | Socket, peer: Peer): void {
    if (this.#isStopped || (this.#isDraining && !peer.isTunnel)) socket.destroy();
    else this.#connections.add(new ClientConnection(this, this, socket, peer));
  }

  #sweep(): void {
    this.#nowMs = monotonicMs();
    for (const connection of this.#connections) connection.sweep(this.#nowMs);
    this.#options.swept?.(this.#nowMs);
  }
}
