import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { SkeinError } from '../base/errors.ts';
import type { DataDirectory } from '../database/data-directory.ts';
import type { DatabaseContext } from '../database/database-parts.ts';
import type { PinnedPages } from '../database/pinned-state.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { PrimarySet } from '../database/primary-set.ts';
import { Scrubbing } from '../database/scrubbing.ts';
import type { Position } from '../ltx/position.ts';
import type { NodeIdentity } from '../stream/node-identity.ts';
import { type KnownReplica, StreamServer } from '../stream/stream-server.ts';
import { databaseNotFound } from './database-not-found.ts';
import type { DatabaseStatus, Replication, ReplicationHandlers } from './replication.ts';

const housekeepingMs = 5_000;

/** The databases of the node that leads: captured, and sent to every replica. */
export class PrimaryReplication implements Replication {
  readonly role = 'primary';
  readonly synced = Promise.resolve();
  readonly #set: PrimarySet;
  readonly #server: StreamServer;
  readonly #handlers: ReplicationHandlers;
  readonly #listeners = new Set<() => void>();
  #housekeeping: NodeJS.Timeout | undefined;
  #ready = false;
  readonly #scrubbing: Scrubbing;

  constructor(
    context: DatabaseContext,
    directory: DataDirectory,
    identity: NodeIdentity,
    handlers: ReplicationHandlers,
  ) {
    this.#handlers = handlers;
    this.#scrubbing = new Scrubbing(context.warn);
    this.#set = new PrimarySet(context, directory);
    this.#server = new StreamServer(this.#set, {
      identity: () => ({ ...identity, ready: this.#ready }),
      spoolDirectory: join(directory.hidden, 'tmp'),
      nodeId: context.nodeId,
      notice: context.notice,
      progressed: () => this.#progressed(),
    });
    this.#set.addListener({
      added: (database) => this.#listenTo(database),
      dropped: () => this.#progressed(),
    });
  }

  /** Throws what opening a database throws. */
  async start(): Promise<void> {
    await this.#set.start();
    this.#handlers.lagChanged(0);
    this.#housekeeping = setInterval(() => {
      this.#server.enforceLogLimits();
      this.#scrubbing.runIfDue(() => this.#scrub());
    }, housekeepingMs);
  }

  /** The release command is done: replicas may start their processes. */
  setReady(): void {
    this.#ready = true;
  }

  primary(): undefined {
    return undefined;
  }

  databases(): DatabaseStatus[] {
    return this.#set.all().map((database) => ({
      name: database.name,
      position: database.position,
      lagMs: 0,
      walFrames: database.walFrames,
      walBytes: database.files.walBytes(),
      logBytes: database.parts.log.bytes,
      recyclePauseMs: database.lastRecycle?.pauseMs,
    }));
  }

  replicas(): KnownReplica[] {
    return this.#server.known();
  }

  problems(): ReadonlyMap<string, string> {
    return this.#set.problems();
  }

  position(name: string): Position | undefined {
    return this.#set.get(name)?.position;
  }

  async currentPosition(name: string): Promise<Position> {
    const database = this.#database(name) ?? (await this.#lookAgain(name));
    await database.capture();
    return database.position;
  }

  contradicts(name: string, position: Position): boolean {
    return this.#database(name)?.parts.log.contradicts(position) ?? false;
  }

  holders(name: string, position: Position): { node: string; candidate: boolean }[] {
    return this.#server
      .replicas()
      .filter((session) => holds(session.acknowledged.get(name), position))
      .map(({ node, candidate }) => ({ node, candidate }));
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async pin(name: string): Promise<PinnedPages> {
    const database = this.#database(name) ?? (await this.#lookAgain(name));
    return database.pin();
  }

  rescan(): Promise<void> {
    return this.#set.scan();
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.accept(request, socket, head);
  }

  async stop(): Promise<void> {
    clearInterval(this.#housekeeping);
    await this.#scrubbing.settled;
    // The last transactions are captured, and so sent, before the links close.
    for (const database of this.#set.all()) await database.capture().catch(() => 0);
    this.#server.stop();
    await this.#set.stop();
  }

  #database(name: string): PrimaryDatabase | undefined {
    return this.#set.get(name);
  }

  /** A database that the app has made a moment ago may not have been seen yet. */
  async #lookAgain(name: string): Promise<PrimaryDatabase> {
    await this.#set.scan();
    const database = this.#database(name);
    if (database) return database;
    const problem = this.#set.problems().get(name);
    if (problem !== undefined) throw new SkeinError('DATABASE_BUSY', problem);
    throw databaseNotFound(name);
  }

  #listenTo(database: PrimaryDatabase): void {
    database.addListener({
      advanced: ({ record }) => {
        this.#handlers.transaction(database.name, record.header, record.postApplyChecksum);
        this.#progressed();
      },
      restarted: () => this.#progressed(),
    });
  }

  async #scrub(): Promise<void> {
    for (const database of this.#set.all()) await database.scrub();
  }

  #progressed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** A node on the same chain with an equal or higher TXID holds the position; one that was diverged is resent first. */
function holds(acknowledged: Position | undefined, position: Position): boolean {
  if (!acknowledged) return false;
  if (acknowledged.txid === position.txid) return acknowledged.checksum === position.checksum;
  return acknowledged.txid > position.txid;
}
