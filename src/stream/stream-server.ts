import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { PrimarySet } from '../database/primary-set.ts';
import type { Position, Txid } from '../ltx/position.ts';
import { messageBytesMax } from './protocol.ts';
import { ReplicaSession, type SessionOptions } from './replica-session.ts';

/** A replica that is connected, or was since this node began to lead. */
export type KnownReplica = {
  readonly node: string;
  readonly region: string;
  readonly url: string;
  readonly candidate: boolean;
  readonly connected: boolean;
  readonly acknowledged: ReadonlyMap<string, Position>;
};

/** How many replicas that left are remembered. */
const departedMax = 100;

/** The primary's end of all streams: takes over WebSocket upgrades, and knows what each replica has. */
export class StreamServer {
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
  });
  readonly #sessions = new Set<ReplicaSession>();
  readonly #departed = new Map<string, KnownReplica>();
  readonly #options: SessionOptions;
  readonly #set: PrimarySet;

  constructor(set: PrimarySet, options: Omit<SessionOptions, 'databases' | 'started' | 'ended'>) {
    this.#set = set;
    const { notice } = options;
    this.#options = {
      ...options,
      databases: () => set.all(),
      started: (session) => {
        // A replica that lost its link without telling comes back before its old session has timed out.
        for (const other of this.#sessions)
          if (other !== session && other.node === session.node) other.close();
        notice('a replica connected', { replica: session.node, region: session.region });
      },
      ended: (session) => {
        if (this.#sessions.delete(session) && session.hasSaidHello) {
          this.#departed.set(session.node, describe(session, false));
          if (this.#departed.size > departedMax) this.#departed.delete([...this.#departed.keys()][0]);
          notice('a replica disconnected', { replica: session.node });
        }
        options.progressed();
      },
    };
    set.addListener({
      added: (database) => {
        for (const session of this.#sessions) session.feed(database);
      },
      dropped: (name) => {
        for (const session of this.#sessions) session.drop(name);
        return true;
      },
    });
  }

  /** Takes over a request for an upgrade that has shown the secret. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#sessions.add(new ReplicaSession(this.#options, webSocket));
    });
  }

  /** Replicas that have said hello. */
  replicas(): ReplicaSession[] {
    return [...this.#sessions].filter((session) => session.hasSaidHello);
  }

  /** Connected replicas, then those that left and did not come back. */
  known(): KnownReplica[] {
    const connected = this.replicas();
    const names = new Set(connected.map((session) => session.node));
    const departed = [...this.#departed.values()].filter((session) => !names.has(session.node));
    return [...connected.map((session) => describe(session, true)), ...departed];
  }

  /** Lets every database's log drop what no connected replica needs any more. */
  enforceLogLimits(): void {
    for (const database of this.#set.all()) {
      const sent = this.replicas()
        .map((session) => session.sentTxid(database.name))
        .filter((value): value is Txid => value !== undefined);
      database.parts.log.enforceLimits(
        sent.length > 0 ? sent.reduce((least, value) => (value < least ? value : least)) : undefined,
      );
    }
  }

  /** Sends no more of a database that was deleted; replicas keep it until they are told to drop it. */
  halt(name: string): void {
    for (const session of this.#sessions) session.halt(name);
  }

  /** Tells every replica how things stand, without waiting for the next time. */
  beat(): void {
    for (const session of this.replicas()) session.beat();
  }

  stop(): void {
    for (const session of this.#sessions) session.close();
    this.#sessions.clear();
    this.#server.close();
  }
}

function describe(session: ReplicaSession, connected: boolean): KnownReplica {
  const { node, region, url, candidate, acknowledged } = session;
  return { node, region, url, candidate, connected, acknowledged };
}
