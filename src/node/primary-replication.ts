import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { SkeinError } from '../base/errors.ts';
import type { DataDirectory } from '../database/data-directory.ts';
import type { DatabaseContext } from '../database/database-parts.ts';
import type { PinnedPages } from '../database/pinned-state.ts';
import type { PrimaryDatabase } from '../database/primary-database.ts';
import { PrimarySet } from '../database/primary-set.ts';
import type { RestingDatabase } from '../database/resting-database.ts';
import { Scrubbing } from '../database/scrubbing.ts';
import type { LeaseToken } from '../lease/lease.ts';
import { encodeRecord, type LeaseRecord } from '../lease/lease-record.ts';
import type { Term } from '../lease/term.ts';
import type { Position } from '../ltx/position.ts';
import type { NodeIdentity } from '../stream/node-identity.ts';
import { type KnownReplica, StreamServer } from '../stream/stream-server.ts';
import { databaseNotFound } from './database-not-found.ts';
import { Durability, type DurabilityParts } from './durability.ts';
import { LeadEnd } from './lead-end.ts';
import type { DatabaseStatus, Replication, ReplicationHandlers } from './replication.ts';

const housekeepingMs = 5_000;
const standbyCheckMs = 100;

/** The databases of the node that leads: captured, and sent to every replica. */
export class PrimaryReplication implements Replication {
  readonly role = 'primary';
  readonly synced = Promise.resolve();
  readonly #set: PrimarySet;
  readonly #server: StreamServer;
  readonly #handlers: ReplicationHandlers;
  readonly #listeners = new Set<() => void>();
  readonly #term: Pick<Term, 'epoch' | 'isValid' | 'write'>;
  readonly #node: string;
  readonly #directory: DataDirectory;
  readonly #inherited: DurabilityParts['inherited'];
  /** Databases that were deleted: what waits for the lease record not to name them any more. */
  readonly #leaving = new Map<string, (isRecorded: boolean) => void>();
  #durability: Durability | undefined;
  #isOver = false;
  #leadEnd: LeadEnd | undefined;
  #isEnding = false;
  #housekeeping: NodeJS.Timeout | undefined;
  #standbyCheck: NodeJS.Timeout | undefined;
  #ready = false;
  /** All that was here is at another node, which leads now. */
  hasHandedOver = false;
  readonly #scrubbing: Scrubbing;

  constructor(
    context: DatabaseContext,
    directory: DataDirectory,
    identity: Omit<NodeIdentity, 'epoch'>,
    term: Pick<Term, 'epoch' | 'isValid' | 'write'>,
    inherited: DurabilityParts['inherited'],
    handlers: ReplicationHandlers,
  ) {
    this.#handlers = handlers;
    this.#term = term;
    this.#node = identity.node;
    this.#directory = directory;
    this.#inherited = inherited;
    this.#scrubbing = new Scrubbing(context.warn);
    this.#set = new PrimarySet(context, directory);
    // Before the server, which has replicas delete theirs: whoever lacks what the record names could never lead.
    this.#set.addListener({ added: () => undefined, dropped: (name) => this.#unrecord(name) });
    this.#server = new StreamServer(this.#set, {
      identity: () => ({ ...identity, epoch: term.epoch, ready: this.#ready }),
      heardOf: (epoch) => handlers.heardOf(epoch),
      spoolDirectory: join(directory.hidden, 'tmp'),
      nodeId: context.nodeId,
      notice: context.notice,
      progressed: () => this.#progressed(),
    });
    this.#set.addListener({
      added: (database) => this.#listenTo(database),
      dropped: () => {
        this.#progressed();
        return true;
      },
    });
  }

  /** Throws what opening a database throws. */
  async start(): Promise<void> {
    await this.#set.start();
    this.#begin();
  }

  /** Takes over what this node has followed with. The app cannot write before `unfence`. */
  adopt(resting: readonly RestingDatabase[]): void {
    this.#set.adopt(resting);
    this.#begin();
  }

  /** Keeps the app from writing. Returns the databases of which a writer did not let go within `timeoutMs`. */
  fence(timeoutMs: number, signal: AbortSignal): Promise<string[]> {
    return this.#set.fence(timeoutMs, signal);
  }

  unfence(): void {
    this.#set.unfence();
  }

  /** Gives up the databases, which are fenced, for this node to follow with. Replicas are sent away. */
  async rest(): Promise<RestingDatabase[]> {
    this.#end();
    this.#server.stop();
    // Whoever waits for a position hears that this is over.
    this.#isOver = true;
    this.#progressed();
    const resting = await this.#set.rest();
    this.#leadEnd = new LeadEnd(this.#directory, resting);
    await this.#scrubbing.settled;
    return resting;
  }

  /** Captures what is committed now. What fails is told by the captures that follow. */
  async capture(): Promise<void> {
    for (const database of this.#set.all()) await database.capture().catch(() => 0);
  }

  /** Captures what is committed now. Throws what a capture does. */
  async captureAll(): Promise<void> {
    for (const database of this.#set.all()) await database.capture();
  }

  /**
   * Resolves when a candidate, the named one if there is a name, holds all that is captured now, with that; undefined after
   * `timeoutMs`.
   */
  async shipped(timeoutMs: number, node?: string): Promise<ReadonlyMap<string, Position> | undefined> {
    const { promise, resolve } = Promise.withResolvers<ReadonlyMap<string, Position> | undefined>();
    const positions = this.#set.all().map(({ name, position }) => ({ name, position }));
    const check = () => {
      const holders = this.#server
        .replicas()
        .filter((replica) => (node === undefined ? replica.candidate : replica.node === node));
      if (holders.some(({ acknowledged }) => hasAll(acknowledged, positions)))
        resolve(new Map(positions.map(({ name, position }) => [name, position])));
    };
    const stopListening = this.onProgress(check);
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    check();
    return promise.finally(() => {
      clearTimeout(timer);
      stopListening();
    });
  }

  /** Tells a replica that it leads now. Throws `NO_CANDIDATE` when it is not connected any more. */
  handTo(node: string, token: LeaseToken, record: LeaseRecord): void {
    const session = this.#server.replicas().find((replica) => replica.node === node);
    if (session?.lead(token, encodeRecord(record))) return;
    throw new SkeinError('NO_CANDIDATE', `The link to ${node} has ended. Try again.`);
  }

  /** The record is in the store: with a new standby in it, more may be durable than a moment ago. */
  written(record: LeaseRecord): void {
    this.#durability?.written(record);
    for (const [name, resolve] of this.#leaving) {
      if (!(name in record.positions) && !(name in record.safe.positions)) resolve(true);
    }
    this.#progressed();
  }

  /** All that is here is at the node that leads now: what was waited for is true. */
  handedOver(positions: ReadonlyMap<string, Position>): void {
    this.hasHandedOver = true;
    this.#durability?.handedOver(positions);
    this.#progressed();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  hasStayedAt(positions: ReadonlyMap<string, Position>): boolean {
    return this.#leadEnd?.hasStayedAt(positions) ?? false;
  }

  get durability(): Durability | undefined {
    return this.#durability;
  }

  /** Candidates that are connected and hold all that is captured at this moment; those with the most first. */
  inStep(): KnownReplica[] {
    return this.replicas().filter(
      ({ connected, candidate, acknowledged }) =>
        connected && candidate && hasAll(acknowledged, this.#set.all()),
    );
  }

  /** The release command is done: replicas may start their processes. */
  setReady(): void {
    this.#handlers.lagChanged(0);
    this.#ready = true;
    this.#server.beat();
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

  positions(): ReadonlyMap<string, Position> {
    return new Map(this.#set.all().map(({ name, position }) => [name, position]));
  }

  position(name: string): Position | undefined {
    return this.#set.get(name)?.position;
  }

  async currentPosition(name: string): Promise<Position> {
    const database = this.#database(name) ?? (await this.#lookAgain(name));
    await database.capture();
    return database.position;
  }

  /** Throws `DATABASE_NOT_FOUND`, `DATABASE_BUSY`. */
  async writable(name: string): Promise<PrimaryDatabase> {
    return this.#database(name) ?? this.#lookAgain(name);
  }

  isDurable(name: string, position: Position): boolean {
    return this.#durability?.isDurable(name, position) ?? false;
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

  /**
   * As `rescan`, and tries again what a program held the last time, as the release command does while it makes a database: a replica
   * that does not hear of it starts the app, which opens an empty file of its own.
   */
  rescanAll(): Promise<void> {
    return this.#set.scan('all');
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.accept(request, socket, head);
  }

  async stop(): Promise<void> {
    this.#end();
    await this.#scrubbing.settled;
    // The last transactions are captured, and so sent, before the links close.
    await this.capture();
    this.#server.stop();
    await this.#set.stop();
  }

  #begin(): void {
    this.#housekeeping = setInterval(() => {
      this.#server.enforceLogLimits();
      this.#scrubbing.runIfDue(() => this.#scrub());
    }, housekeepingMs);
    const { epoch } = this.#term;
    this.#durability = new Durability({
      node: this.#node,
      epoch,
      inherited: this.#inherited,
      replicas: () => this.#server.replicas(),
      databases: () => this.#set.all(),
      isValid: () => this.#term.isValid,
      write: () => this.#term.write(),
    });
    this.#standbyCheck = setInterval(() => {
      this.#durability?.check();
      if (!this.#term.isValid) this.#keepRecorded();
    }, standbyCheckMs);
  }

  #end(): void {
    clearInterval(this.#housekeeping);
    clearInterval(this.#standbyCheck);
    this.#isEnding = true;
    this.#keepRecorded();
  }

  /** The record may name what was deleted, and will not be written any more: replicas keep theirs, for one of them to lead with. */
  #keepRecorded(): void {
    for (const resolve of this.#leaving.values()) resolve(false);
  }

  /** True when the lease record does not name the database any more; false when this node ceases to lead before. */
  async #unrecord(name: string): Promise<boolean> {
    this.#server.halt(name);
    if (this.#isEnding || !this.#term.isValid) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#leaving.set(name, resolve);
    this.#durability?.forget(name);
    const isRecorded = await promise;
    this.#leaving.delete(name);
    return isRecorded;
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

function hasAll(
  acknowledged: ReadonlyMap<string, Position>,
  positions: readonly { readonly name: string; readonly position: Position }[],
): boolean {
  return positions.every(({ name, position }) => holds(acknowledged.get(name), position));
}

/** A node on the same chain with an equal or higher TXID holds the position; one that was diverged is resent first. */
function holds(acknowledged: Position | undefined, position: Position): boolean {
  if (!acknowledged) return false;
  if (acknowledged.txid === position.txid) return acknowledged.checksum === position.checksum;
  return acknowledged.txid > position.txid;
}
