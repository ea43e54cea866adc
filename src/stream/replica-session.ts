import type { WebSocket } from 'ws';
import { assert } from '../base/assert.ts';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { formatPosition, type Position, type Txid } from '../ltx/position.ts';
import { DatabaseFeed } from './database-feed.ts';
import type { PrimaryIdentity } from './node-identity.ts';
import {
  chunkKind,
  decodeAcknowledgement,
  decodeChunk,
  type FromReplica,
  heartbeatMs,
  type PrimaryMessage,
  parseFromReplica,
  protocolVersion,
  silenceMaxMs,
} from './protocol.ts';
import { SocketSender } from './socket-sender.ts';

export type SessionOptions = {
  readonly identity: () => PrimaryIdentity;
  readonly databases: () => Iterable<PrimaryDatabase>;
  readonly spoolDirectory: string;
  readonly nodeId: bigint;
  readonly notice: (message: string, fields: Record<string, unknown>) => void;
  started(session: ReplicaSession): void;
  ended(session: ReplicaSession): void;
  /** A replica has heard of this epoch. */
  heardOf(epoch: number): void;
  /** What the replica is known to hold has changed. */
  progressed(): void;
};

/** A replica's list of page checksums is refused beyond this: 2^32 pages do not exist in practice. */
const checksumsBytesMax = 1 << 30;

type Hello = Extract<FromReplica, { type: 'hello' }>;

/** One replica, as its primary sees it: from its hello to the end of its link. */
export class ReplicaSession {
  readonly #options: SessionOptions;
  readonly #socket: WebSocket;
  readonly #sender: SocketSender;
  readonly #feeds = new Map<string, DatabaseFeed>();
  readonly #namesById: string[] = [];
  /** By database: what the replica is known to have applied and logged of the chain that this primary has. */
  readonly acknowledged = new Map<string, Position>();
  #hello: Hello | undefined;
  #chainEpoch = 0;
  /** By database: what the replica said that it has. */
  #claimed = new Map<string, Position>();
  #heartbeat: NodeJS.Timeout | undefined;
  #lastHeardMs = monotonicMs();
  /** Page checksums on their way in. */
  #incoming: { id: number; pageSize: number; bytes: Buffer; length: number } | undefined;

  constructor(options: SessionOptions, socket: WebSocket) {
    this.#options = options;
    this.#socket = socket;
    this.#sender = new SocketSender(socket);
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    socket.on('close', () => this.#end());
    socket.on('error', () => socket.terminate());
    this.#heartbeat = setInterval(() => this.beat(), heartbeatMs);
  }

  get node(): string {
    return this.#hello?.node ?? '';
  }

  get region(): string {
    return this.#hello?.region ?? '';
  }

  /** Under which other nodes reach its API. */
  get url(): string {
    return this.#hello?.url ?? '';
  }

  get candidate(): boolean {
    return this.#hello?.candidate ?? false;
  }

  /** The epoch that the replica has noted for its databases. */
  get chainEpoch(): number {
    return this.#chainEpoch;
  }

  get hasSaidHello(): boolean {
    return this.#hello !== undefined;
  }

  /** Tells the replica that the lease is its own now. False when the link has ended. */
  lead(token: string, record: string): boolean {
    if (!this.#sender.isOpen) return false;
    this.#send({ type: 'lead', token, record });
    return true;
  }

  /** The last transaction sent of a database; undefined when none is being sent. */
  sentTxid(database: string): Txid | undefined {
    return this.#feeds.get(database)?.sentTxid;
  }

  /** Begins to send a database, if the replica has said hello. */
  feed(database: PrimaryDatabase): void {
    const hello = this.#hello;
    if (!hello || this.#feeds.has(database.name)) return;
    const id = this.#namesById.push(database.name) - 1;
    if (id > 0xffff) {
      this.#socket.terminate();
      return;
    }
    const from = this.#claimed.get(database.name);
    const { nodeId, notice, spoolDirectory } = this.#options;
    const options = {
      database,
      sender: this.#sender,
      id,
      from,
      spoolDirectory,
      nodeId,
      notice: this.#noticeOf(notice),
      known: (position: Position | undefined) => this.#setAcknowledged(database.name, position),
    };
    const feed = new DatabaseFeed(options, hello.distrusted.includes(database.name));
    this.#feeds.set(database.name, feed);
    this.#send({ type: 'database', id, name: database.name });
    feed.run().catch((error: unknown) => {
      notice('a database could not be sent', {
        database: database.name,
        replica: this.node,
        reason: messageOf(error),
      });
      this.#socket.terminate();
    });
  }

  /** Sends no more of a database that was deleted, which the replica keeps until `drop`. */
  halt(name: string): void {
    this.#feeds.get(name)?.stop();
  }

  drop(name: string): void {
    this.#feeds.get(name)?.stop();
    this.#feeds.delete(name);
    this.acknowledged.delete(name);
    this.#claimed.delete(name);
    this.#send({ type: 'drop', name });
  }

  /** Tells the replica how things stand. */
  beat(): void {
    if (monotonicMs() - this.#lastHeardMs > silenceMaxMs) {
      this.#socket.terminate();
      return;
    }
    // To one that does not read, the end of the silence would only be more to buffer.
    if (!this.#sender.hasRoom) return;
    const positions: Record<string, string> = {};
    for (const feed of this.#feeds.values())
      positions[feed.database.name] = formatPosition(feed.database.position);
    this.#send({
      type: 'heartbeat',
      clockMs: wallClockMs(),
      ready: this.#options.identity().ready,
      positions,
    });
  }

  close(): void {
    this.#sender.close(1001);
    this.#end();
  }

  #noticeOf(notice: SessionOptions['notice']): SessionOptions['notice'] {
    return (message, fields) => notice(message, { ...fields, replica: this.node });
  }

  #end(): void {
    clearInterval(this.#heartbeat);
    for (const feed of this.#feeds.values()) feed.stop();
    this.#feeds.clear();
    this.#options.ended(this);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#lastHeardMs = monotonicMs();
    try {
      if (isBinary) this.#receiveChunk(data);
      else this.#receiveControl(parseFromReplica(data.toString('utf8')));
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      this.#refuse(error);
    }
  }

  #receiveControl(message: FromReplica): void {
    switch (message.type) {
      case 'hello':
        this.#begin(message);
        break;
      case 'checksums':
        if (message.bytes > checksumsBytesMax || !this.#feedOf(message.id)?.isComparing)
          throw new SkeinError('PROTOCOL_INVALID', 'The replica sent page checksums that nobody asked for.');
        this.#incoming = {
          id: message.id,
          pageSize: message.pageSize,
          bytes: Buffer.allocUnsafe(message.bytes),
          length: 0,
        };
        if (message.bytes === 0) this.#takeChecksums();
        break;
      case 'heartbeat':
        this.#chainEpoch = message.chainEpoch;
        this.#options.progressed();
        break;
    }
  }

  #begin(hello: Hello): void {
    if (this.#hello) throw new SkeinError('PROTOCOL_INVALID', 'The replica said hello twice.');
    const { app, node, region, epoch } = this.#options.identity();
    if (hello.protocol !== protocolVersion) {
      throw new SkeinError(
        'PROTOCOL_MISMATCH',
        `Node ${hello.node} speaks version ${hello.protocol} of the replication protocol, this primary version ${protocolVersion}. Install the same release of Skein on both.`,
      );
    }
    if (hello.app !== app) {
      throw new SkeinError(
        'APP_MISMATCH',
        `Node ${hello.node} runs app ${JSON.stringify(hello.app)}, this primary runs ${JSON.stringify(app)}. Set [lease] primary to a node of its own app.`,
      );
    }
    if (hello.node === node) {
      throw new SkeinError(
        'APP_MISMATCH',
        `Two nodes are called ${JSON.stringify(node)}. Give each its own [node] name.`,
      );
    }
    if (hello.epoch > epoch) {
      this.#options.heardOf(hello.epoch);
      throw new SkeinError(
        'LEASE_LOST',
        `Node ${node} led in epoch ${epoch}, and node ${hello.node} has heard of epoch ${hello.epoch}. It connects to whoever leads now.`,
      );
    }
    this.#hello = hello;
    this.#claimed = new Map(Object.entries(hello.databases));
    this.#send({ type: 'welcome', protocol: protocolVersion, node, region, epoch });
    this.#options.started(this);
    // The first heartbeat names every database, so that the replica knows when it has all of them.
    for (const database of this.#options.databases()) this.feed(database);
    this.beat();
  }

  #acknowledge(id: number, position: Position): void {
    const name = this.#namesById[id];
    if (this.#feedOf(id)?.hasOffered(position)) this.#setAcknowledged(name, position);
  }

  /** Undefined for the id of a database that was dropped, also when another has its name by now. */
  #feedOf(id: number): DatabaseFeed | undefined {
    const feed = this.#feeds.get(this.#namesById[id] ?? '');
    return feed?.id === id ? feed : undefined;
  }

  #setAcknowledged(name: string, position: Position | undefined): void {
    if (position) this.acknowledged.set(name, position);
    else this.acknowledged.delete(name);
    this.#options.progressed();
  }

  #receiveChunk(data: Buffer): void {
    const chunk = decodeChunk(data);
    if (chunk.kind === chunkKind.acknowledgement) {
      this.#acknowledge(chunk.id, decodeAcknowledgement(chunk.bytes));
      return;
    }
    const incoming = this.#incoming;
    if (chunk.kind !== chunkKind.checksums || !incoming || chunk.id !== incoming.id) {
      throw new SkeinError('PROTOCOL_INVALID', 'The replica sent a chunk that nobody asked for.');
    }
    if (incoming.length + chunk.bytes.length > incoming.bytes.length) {
      throw new SkeinError('PROTOCOL_INVALID', 'The replica sent more page checksums than it said.');
    }
    incoming.bytes.set(chunk.bytes, incoming.length);
    incoming.length += chunk.bytes.length;
    if (!chunk.last) return;
    if (incoming.length < incoming.bytes.length) {
      throw new SkeinError('PROTOCOL_INVALID', 'The replica sent fewer page checksums than it said.');
    }
    this.#takeChecksums();
  }

  #takeChecksums(): void {
    const incoming = this.#incoming;
    assert(incoming, 'checksums were announced');
    this.#incoming = undefined;
    this.#feedOf(incoming.id)?.takeChecksums(incoming.pageSize, incoming.bytes);
  }

  #refuse(error: SkeinError): void {
    this.#options.notice('a replica was refused', {
      replica: this.node,
      code: error.code,
      reason: error.message,
    });
    this.#send({ type: 'refuse', code: error.code, message: error.message });
    this.#sender.close(1008);
  }

  #send(message: PrimaryMessage): void {
    this.#sender.sendControl(message);
  }
}
