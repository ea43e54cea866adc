import { WebSocket } from 'ws';
import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { ReplicaDatabase } from '../database/replica-database.ts';
import type { ReplicaSet } from '../database/replica-set.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import { DatabaseReceiver } from './database-receiver.ts';
import { outdated, refusal, refusedBy, unreachable } from './link-errors.ts';
import type { ReplicaIdentity } from './node-identity.ts';
import {
  chunkBytesMax,
  chunkKind,
  decodeChunk,
  encodeAcknowledgement,
  type FromPrimary,
  heartbeatMs,
  messageBytesMax,
  parseFromPrimary,
  protocolVersion,
  type ReplicaMessage,
  silenceMaxMs,
  streamPath,
} from './protocol.ts';
import { SocketSender } from './socket-sender.ts';

const connectTimeoutMs = 5_000;
/** While more is waiting to be applied, not every file is acknowledged by itself. */
const acknowledgeEvery = 16;
/** Chunks that wait to be applied, after which the socket is not read on. */
const queuedBytesMax = 4 << 20;

export type PrimaryInfo = {
  readonly node: string;
  readonly url: string;
  readonly region: string;
  readonly epoch: number;
};

export type PrimaryLinkHandlers = {
  identity(): ReplicaIdentity;
  /** The link stands, or ended (undefined). */
  connected(primary: PrimaryInfo | undefined): void;
  applied(database: ReplicaDatabase): void;
  /** The primary's wall clock, ms since 1970, as it was when it sent this; its databases, once it is ready. */
  heartbeat(clockMs: number, databases: readonly string[] | undefined): void;
  dropped(database: string): void;
  /** This node holds all that the primary had a moment ago. */
  caughtUp(): void;
  /** The primary has handed its hold of the lease to this node. */
  lead(token: string, record: string): void;
};

/** One connection of a replica to its primary, from its opening to its end. */
export class PrimaryLink {
  readonly #set: ReplicaSet;
  readonly #handlers: PrimaryLinkHandlers;
  readonly #distrusted: Set<string>;
  readonly #url: string;
  readonly #socket: WebSocket;
  readonly #sender: SocketSender;
  readonly #receivers: (DatabaseReceiver | undefined)[] = [];
  /** Ids of databases that were dropped: what was on its way then is of no use. */
  readonly #dropped = new Set<number>();
  /** By database: what is done as soon as there is room for a copy of its state. */
  readonly #standing = new Map<string, () => Promise<void>>();
  /** By the last heartbeat; undefined while the primary is not ready. */
  #primaryPositions: Map<string, Position> | undefined;
  #primaryEpoch = 0;
  #toldChainEpoch: number | undefined;
  #isCaughtUp = false;
  /** By id: what is applied and not yet told. */
  readonly #unacknowledged = new Map<number, Position>();
  #applied = 0;
  /** Messages that came while one was being worked on, in order. */
  #queue: { data: Buffer; isBinary: boolean }[] = [];
  #queuedBytes = 0;
  #working = false;
  #lastHeardMs = monotonicMs();
  readonly #end = Promise.withResolvers<void>();

  constructor(
    url: string,
    secret: string | undefined,
    set: ReplicaSet,
    handlers: PrimaryLinkHandlers,
    distrusted: Set<string>,
  ) {
    this.#url = url;
    this.#set = set;
    this.#handlers = handlers;
    this.#distrusted = distrusted;
    this.#socket = new WebSocket(new URL(streamPath, url.replace(/^http/, 'ws')), {
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
      handshakeTimeout: connectTimeoutMs,
      maxPayload: messageBytesMax,
      perMessageDeflate: false,
    });
    this.#sender = new SocketSender(this.#socket);
  }

  /** Resolves when the link ended in order; rejects with why it did not. */
  async run(signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    const stop = () => this.close();
    signal.addEventListener('abort', stop, { once: true });
    socket.on('open', () => this.#hello());
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#enqueue(data, isBinary));
    socket.on('close', () => void this.#drained().then(() => this.#end.resolve()));
    socket.on('error', (error) => this.#end.reject(unreachable(this.#url, error)));
    socket.on('unexpected-response', (_request, response) =>
      this.#end.reject(refusedBy(this.#url, response.statusCode)),
    );
    const heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    try {
      await this.#end.promise;
    } finally {
      clearInterval(heartbeat);
      signal.removeEventListener('abort', stop);
      socket.terminate();
      await this.#settle();
      this.#handlers.connected(undefined);
    }
  }

  close(): void {
    this.#sender.close(1000);
  }

  /** Ends it without a word: what was sent and is not applied yet is of no use. */
  abandon(): void {
    this.#socket.terminate();
    this.#end.resolve();
  }

  /** Everything that the primary sent before it closed the link in order is worked on first. */
  async #drained(): Promise<void> {
    while (this.#working) await sleep(1);
  }

  /** Waits for the message that is being worked on: the next link starts from what it leaves. */
  async #settle(): Promise<void> {
    this.#queue = [];
    await this.#drained();
    for (const receiver of this.#receivers) receiver?.abort();
  }

  #hello(): void {
    const { app, node, region, url, epoch, candidate } = this.#handlers.identity();
    const databases: Record<string, string> = {};
    for (const database of this.#set.all()) databases[database.name] = formatPosition(database.position);
    const distrusted = [...this.#distrusted];
    this.#send({
      type: 'hello',
      protocol: protocolVersion,
      app,
      node,
      region,
      url,
      candidate,
      epoch,
      databases,
      distrusted,
    });
  }

  #beat(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (monotonicMs() - this.#lastHeardMs > silenceMaxMs && !this.#working) {
      this.#end.reject(
        new SkeinError(
          'PRIMARY_UNREACHABLE',
          `The primary at ${this.#url} has been silent for ${silenceMaxMs / 1000} s.`,
        ),
      );
      return;
    }
    this.#sendHeartbeat();
    if (this.#standing.size > 0 && !this.#working) void this.#work(() => this.#tryStanding());
  }

  #enqueue(data: Buffer, isBinary: boolean): void {
    this.#lastHeardMs = monotonicMs();
    this.#queue.push({ data, isBinary });
    this.#queuedBytes += data.length;
    if (this.#queuedBytes > queuedBytesMax) this.#socket.pause();
    if (!this.#working) void this.#work();
  }

  async #work(first?: () => Promise<void>): Promise<void> {
    this.#working = true;
    try {
      await first?.();
      for (let message = this.#queue.shift(); message; message = this.#queue.shift()) {
        this.#queuedBytes -= message.data.length;
        if (this.#socket.isPaused && this.#queuedBytes < queuedBytesMax / 2) this.#socket.resume();
        if (message.isBinary) await this.#takeChunk(message.data);
        else await this.#takeControl(parseFromPrimary(message.data.toString('utf8')));
      }
      // What was applied last may have been followed by a heartbeat, and then by nothing for long.
      this.#acknowledge();
    } catch (error) {
      this.#queue = [];
      this.#end.reject(error);
    } finally {
      this.#working = false;
    }
  }

  async #takeChunk(data: Buffer): Promise<void> {
    const chunk = decodeChunk(data);
    if (this.#dropped.has(chunk.id)) return;
    const receiver = this.#receivers[chunk.id];
    if (!receiver)
      throw new SkeinError('PROTOCOL_INVALID', 'The primary sent a chunk of a database that it never named.');
    let position: Position | undefined;
    try {
      position = await receiver.take(chunk);
    } catch (error) {
      const distrust =
        error instanceof SkeinError && (error.code === 'POSITION_MISMATCH' || error.code === 'LTX_INVALID');
      if (distrust) this.#distrusted.add(receiver.name);
      throw error;
    }
    if (!position) return;
    if (chunk.kind !== chunkKind.next) this.#distrusted.delete(receiver.name);
    this.#unacknowledged.set(chunk.id, position);
    if (this.#queue.length === 0 || this.#applied % acknowledgeEvery === 0) this.#acknowledge();
    this.#applied += 1;
    if (receiver.database) this.#handlers.applied(receiver.database);
    // While in step the heartbeats are enough: with many databases, looking at each file would cost more than applying it.
    if (!this.#isCaughtUp) this.#checkCaughtUp();
  }

  /** One acknowledgement stands for all before it. */
  #acknowledge(): void {
    for (const [id, position] of this.#unacknowledged) {
      const bytes = encodeAcknowledgement(position);
      this.#sender.sendChunk({ kind: chunkKind.acknowledgement, id, first: true, last: true, bytes });
    }
    this.#unacknowledged.clear();
  }

  async #takeControl(message: FromPrimary): Promise<void> {
    switch (message.type) {
      case 'welcome':
        if (message.epoch < this.#handlers.identity().epoch) throw outdated(this.#url, message.epoch);
        this.#primaryEpoch = message.epoch;
        this.#handlers.connected({
          node: message.node,
          url: this.#url,
          region: message.region,
          epoch: message.epoch,
        });
        break;
      case 'database':
        // A drop that was not done yet is overtaken.
        this.#standing.delete(message.name);
        this.#dropped.delete(message.id);
        this.#receivers[message.id] = new DatabaseReceiver(this.#set, message.name);
        break;
      case 'following': {
        const receiver = this.#receivers[message.id];
        if (receiver) receiver.isFollowing = true;
        this.#checkCaughtUp();
        break;
      }
      case 'compare': {
        const { id, position, shared } = message;
        const receiver = this.#receivers[id];
        const primary = { position, shared, epoch: this.#primaryEpoch };
        const { chainEpoch } = this.#handlers.identity();
        await this.#withCopyKept(receiver?.name ?? '', async () => {
          await receiver?.keepIfDiverged(primary, chainEpoch);
          await this.#sendChecksums(id);
        });
        break;
      }
      case 'drop': {
        const { name } = message;
        this.#forget(name);
        await this.#withCopyKept(name, async () => {
          await this.#set.drop(name);
          this.#handlers.dropped(name);
        });
        break;
      }
      case 'heartbeat':
        this.#primaryPositions = message.ready ? new Map(Object.entries(message.positions)) : undefined;
        for (const [name, position] of this.#primaryPositions ?? []) this.#set.get(name)?.confirm(position);
        this.#handlers.heartbeat(message.clockMs, message.ready ? Object.keys(message.positions) : undefined);
        this.#checkCaughtUp();
        break;
      case 'lead':
        this.#handlers.lead(message.token, message.record);
        break;
      case 'refuse':
        throw refusal(message.code, message.message);
    }
  }

  /**
   * Takes back what is half received, before the files close: later, the numbers of their descriptors may be those of other
   * files.
   */
  #forget(name: string): void {
    for (const [id, receiver] of this.#receivers.entries()) {
      if (receiver?.name !== name) continue;
      receiver.abort();
      this.#receivers[id] = undefined;
      this.#dropped.add(id);
      this.#unacknowledged.delete(id);
    }
  }

  /** Does what replaces a state of which a copy is kept first. Without room for one that database stands still, and no other. */
  async #withCopyKept(name: string, replace: () => Promise<void>): Promise<void> {
    this.#standing.delete(name);
    try {
      await replace();
    } catch (error) {
      if (!(error instanceof SkeinError && error.code === 'DISK_FULL')) throw error;
      this.#standing.set(name, replace);
    }
  }

  async #tryStanding(): Promise<void> {
    for (const [name, replace] of [...this.#standing]) await this.#withCopyKept(name, replace);
  }

  async #sendChecksums(id: number): Promise<void> {
    const database = this.#receivers[id]?.database;
    if (!database)
      throw new SkeinError(
        'PROTOCOL_INVALID',
        'The primary asked for the checksums of a database that is not here.',
      );
    const bytes = database.pageChecksums();
    this.#send({ type: 'checksums', id, pageSize: database.pageSize, bytes: bytes.length });
    if (bytes.length === 0) return;
    const pieces = function* () {
      for (let at = 0; at < bytes.length; at += chunkBytesMax) yield bytes.subarray(at, at + chunkBytesMax);
    };
    await this.#sender.sendPieces(chunkKind.checksums, id, pieces());
  }

  /** Tells whether all that the last heartbeat named is here. */
  #checkCaughtUp(): void {
    if (!this.#primaryPositions) return;
    for (const [name, position] of this.#primaryPositions) {
      const receiver = this.#receivers.find((candidate) => candidate?.name === name);
      const mine = receiver?.isFollowing ? receiver.database?.position : undefined;
      this.#isCaughtUp = mine !== undefined && mine.txid >= position.txid;
      if (!this.#isCaughtUp) return;
    }
    this.#isCaughtUp = true;
    this.#handlers.caughtUp();
    // Only now could this node lead in the primary's place.
    if (this.#handlers.identity().chainEpoch !== this.#toldChainEpoch) this.#sendHeartbeat();
  }

  #sendHeartbeat(): void {
    const { chainEpoch } = this.#handlers.identity();
    this.#toldChainEpoch = chainEpoch;
    this.#send({ type: 'heartbeat', chainEpoch });
  }

  #send(message: ReplicaMessage): void {
    this.#sender.sendControl(message);
  }
}
