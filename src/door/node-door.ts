import type { Duplex } from 'node:stream';
import type { Config } from '../config/config.ts';
import { Door } from './door.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { NodePools } from './node-pools.ts';
import { Policy } from './policy.ts';

/** How long a request that could not be sent is tried anew: an app that restarts takes about as long. For a primary, at least. */
const appRetryMs = 5_000;

/** The door of one node: its connections, where its requests go, and what they come to. */
export class NodeDoor {
  readonly #door: Door;
  readonly #policy: Policy;
  readonly #pools: NodePools;
  readonly #drainTimeoutMs: number;

  constructor(
    { http, internalPort }: Config,
    listen: { readonly host: string; readonly port: number },
    node: DoorNode,
  ) {
    this.#drainTimeoutMs = http.drainTimeoutMs;
    this.#pools = new NodePools({
      appPort: internalPort,
      appConnectionsMax: http.appConnectionsMax,
      secret: node.secret,
      headBytesMax: http.headMax,
      nowMs: () => this.#door.nowMs(),
      refused: () => {
        this.figures.crowded += 1;
      },
    });
    this.#policy = new Policy(node, http, this.#pools);
    this.#door = new Door({
      listen,
      router: this.#policy,
      limits: {
        headBytesMax: http.headMax,
        headMs: http.headTimeoutMs,
        idleMs: http.idleTimeoutMs,
        progressMs: http.progressTimeoutMs,
        retryMs: Math.max(appRetryMs, http.primaryWaitMs),
        appRetryMs,
      },
      connectionsMax: http.connectionsMax,
      replayBytesMax: http.replayBodyMax,
      trust: http.trustForwarded,
      swept: (nowMs) => this.#pools.sweep(nowMs),
    });
  }

  get figures(): DoorFigures {
    return this.#policy.figures;
  }

  get connectionCount(): number {
    return this.#door.connectionCount;
  }

  /** To the app. */
  get appConnectionCount(): number {
    return this.#pools.app.openCount;
  }

  /** Throws `PORT_IN_USE`. */
  listen(): Promise<void> {
    return this.#door.listen();
  }

  /** Serves the end of a tunnel, whose other end was told the mark. */
  enter(socket: Duplex, againMark: string): void {
    this.#door.enter(socket, againMark);
  }

  /** Waits until the app has answered the writes that it was given, up to `timeoutMs`. Others are held by now. */
  writesSettled(timeoutMs: number): Promise<void> {
    return this.#policy.writes.none(timeoutMs);
  }

  /** Takes no new connections, and lets requests come to their end for as long as the configuration says. */
  drain(): Promise<void> {
    return this.#door.drain(this.#drainTimeoutMs);
  }

  stop(): void {
    this.#door.stop();
    this.#pools.stop();
  }
}
