import { existsSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import type { DataDirectory } from '../database/data-directory.ts';
import type { DatabaseContext } from '../database/database-parts.ts';
import type { PinnedPages } from '../database/pinned-state.ts';
import type { ReplicaDatabase } from '../database/replica-database.ts';
import { ReplicaSet } from '../database/replica-set.ts';
import type { RestingDatabase } from '../database/resting-database.ts';
import { Scrubbing } from '../database/scrubbing.ts';
import type { LeaseToken } from '../lease/lease.ts';
import { decodeRecord, type LeaseRecord } from '../lease/lease-record.ts';
import type { Position } from '../ltx/position.ts';
import type { ReplicaIdentity } from '../stream/node-identity.ts';
import type { PrimaryInfo } from '../stream/primary-link.ts';
import { StreamClient } from '../stream/stream-client.ts';
import { ClockSkew } from './clock-skew.ts';
import { databaseNotFound } from './database-not-found.ts';
import type { DatabaseStatus, PrimaryNode, Replication, ReplicationHandlers } from './replication.ts';

const tickMs = 1_000;
/** In step again within this, counted from the last heartbeat, is no lag. */
const inStepMs = 1_500;
/** A node further behind than this is unhealthy: a stalled position is an alarm. */
const stalledMs = 10_000;
/** A node that held everything in an earlier run serves what it has after waiting this long for the primary. */
const startAloneMs = 3_000;

export type ReplicaReplicationHandlers = ReplicationHandlers & {
  /** All databases are on the chain of the primary of this epoch. */
  inStep(epoch: number): void;
  /** The primary hands its hold of the lease to this node. */
  lead(token: LeaseToken, record: LeaseRecord): void;
};

export type PrimaryAddress = { readonly url: string; readonly secret: string | undefined };

/** The databases of a node that follows: kept in step with the primary's. */
export class ReplicaReplication implements Replication {
  readonly role = 'replica';
  readonly hasHandedOver = false;
  readonly synced: Promise<void>;
  readonly #set: ReplicaSet;
  readonly #identity: () => ReplicaIdentity;
  #client: StreamClient | undefined;
  #address: PrimaryAddress | undefined;
  /** Databases whose copies proved wrong since they were last compared. */
  readonly #distrusted = new Set<string>();
  #following: Promise<void> = Promise.resolve();
  readonly #directory: DataDirectory;
  readonly #handlers: ReplicaReplicationHandlers;
  readonly #listeners = new Set<() => void>();
  readonly #scrubbing: Scrubbing;
  readonly #notice: DatabaseContext['notice'];
  readonly #firstSync = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #isOver = false;
  #isResting = false;
  #isOpeningMissing = false;
  #tick: NodeJS.Timeout | undefined;
  #alone: NodeJS.Timeout | undefined;
  #primary: PrimaryInfo | undefined;
  #inStepAtMs: number | undefined;
  /** By database: how old the last applied transaction was, ms, and when that was. */
  readonly #applied = new Map<string, { ageMs: number; atMs: number }>();
  /** The databases of the primary by its last heartbeat; undefined while it is not ready. */
  #primaryNames: Set<string> | undefined;
  readonly #clockSkew = new ClockSkew();

  constructor(
    context: DatabaseContext,
    directory: DataDirectory,
    identity: () => ReplicaIdentity,
    handlers: ReplicaReplicationHandlers,
  ) {
    this.#directory = directory;
    this.#handlers = handlers;
    this.#identity = identity;
    this.#notice = context.notice;
    this.#scrubbing = new Scrubbing(context.warn);
    this.synced = this.#firstSync.promise;
    this.#set = new ReplicaSet(context, directory);
  }

  /** Throws what opening a database throws. */
  async start(): Promise<void> {
    await this.#set.start();
    this.#begin();
  }

  /** Takes over databases that this node has opened or led with; `isSynced` when the app runs on them already. */
  adopt(resting: readonly RestingDatabase[], isSynced: boolean): void {
    this.#set.adopt(resting);
    if (isSynced) this.#firstSync.resolve();
    this.#begin();
  }

  /** Follows another primary from now on, or none. Resolves when the link to the last one is gone. */
  follow(address: PrimaryAddress | undefined): Promise<void> {
    if (address?.url === this.#address?.url) return this.#following;
    this.#address = address;
    const last = this.#client;
    this.#client = address && this.#createClient(address);
    const client = this.#client;
    last?.abandon();
    this.#following = this.#following.then(async () => {
      await this.#running;
      // Another call may have come meanwhile.
      this.#running = client === this.#client ? client?.run() : undefined;
    });
    return this.#following;
  }

  /** Gives up the databases for this node to lead with. Rejects as `ReplicaSet.rest` does; it goes on then, without a primary. */
  async rest(): Promise<RestingDatabase[]> {
    // First: nothing is opened any more that would be nobody's afterwards.
    this.#isResting = true;
    let resting: RestingDatabase[];
    try {
      await this.follow(undefined);
      resting = await this.#set.rest();
    } catch (error) {
      this.#isResting = false;
      throw error;
    }
    this.#isOver = true;
    this.#progressed();
    this.#end();
    await this.#scrubbing.settled;
    return resting;
  }

  primary(): PrimaryNode | undefined {
    const primary = this.#primary;
    return primary && { node: primary.node, region: primary.region, url: primary.url };
  }

  databases(): DatabaseStatus[] {
    return this.#set.all().map((database) => ({
      name: database.name,
      position: database.position,
      lagMs: this.#lagMs(database.name),
      walFrames: database.walFrames,
      walBytes: database.files.walBytes(),
      logBytes: database.parts.log.bytes,
      recyclePauseMs: undefined,
    }));
  }

  /** What this node could lead with, by name, and could prove to be the last primary's. */
  positionsInPlace(): Map<string, Position> {
    const inPlace = this.#set.all().filter((database) => database.files.isInPlace);
    return new Map(inPlace.map(({ name, provenPosition }) => [name, provenPosition]));
  }

  /** Throws `DATABASE_NOT_FOUND`. */
  replica(name: string): ReplicaDatabase {
    return this.#database(name);
  }

  /** What a program of this node wrote under a halt lock is in the log. */
  wrote(name: string): void {
    const database = this.#set.get(name);
    if (database) this.#appliedTo(database);
  }

  /** Has a database compared with the primary's: it may have what the primary has not. */
  distrust(name: string): void {
    this.#client?.resync(name);
  }

  replicas(): [] {
    return [];
  }

  problems(): ReadonlyMap<string, string> {
    const problems = new Map<string, string>();
    for (const { name } of this.#set.all()) {
      if (this.#primaryNames?.has(name) === false) {
        problems.set(name, 'the primary does not have this database; this copy is kept as it was');
      }
    }
    for (const { name, lagMs } of this.databases()) {
      if (lagMs === undefined || lagMs > stalledMs)
        problems.set(name, 'this node is not in step with the primary');
    }
    for (const { name, files } of this.#set.all()) {
      if (!files.isInPlace)
        problems.set(name, 'a program on this node removed or replaced the file: start the node again');
    }
    for (const [name, reason] of this.#set.problems()) problems.set(name, reason);
    return problems;
  }

  positions(): ReadonlyMap<string, Position> {
    return new Map(this.#set.all().map(({ name, position }) => [name, position]));
  }

  position(name: string): Position | undefined {
    return this.#set.get(name)?.position;
  }

  async currentPosition(name: string): Promise<Position> {
    return this.#database(name).position;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  hasStayedAt(): boolean {
    return false;
  }

  isDurable(): boolean {
    return false;
  }

  contradicts(name: string, position: Position): boolean {
    return this.#set.get(name)?.parts.log.contradicts(position) ?? false;
  }

  holders(): [] {
    return [];
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async pin(name: string): Promise<PinnedPages> {
    return this.#database(name).pin();
  }

  rescan(): Promise<void> {
    return Promise.reject(notPrimary(this.#address?.url));
  }

  accept(_request: IncomingMessage, socket: Duplex): void {
    socket.end('HTTP/1.1 421 Misdirected Request\r\nConnection: close\r\n\r\n');
  }

  async stop(): Promise<void> {
    this.#end();
    this.#client?.stop();
    await this.#following;
    await this.#running;
    await this.#scrubbing.settled;
    await this.#set.stop();
  }

  #begin(): void {
    if (existsSync(this.#syncedMark)) this.#alone = setTimeout(() => this.#firstSync.resolve(), startAloneMs);
    this.#tick = setInterval(() => this.#housekeep(), tickMs);
    this.#handlers.lagChanged(this.#lagMs());
  }

  #end(): void {
    clearInterval(this.#tick);
    clearTimeout(this.#alone);
  }

  #createClient({ url, secret }: PrimaryAddress): StreamClient {
    return new StreamClient(url, secret, this.#set, this.#distrusted, {
      identity: this.#identity,
      connected: (primary) => this.#connected(primary),
      applied: (database) => this.#appliedTo(database),
      heartbeat: (clockMs, names) => this.#heard(clockMs, names),
      dropped: () => this.#progressed(),
      caughtUp: () => this.#caughtUp(),
      lead: (token, record) => this.#handlers.lead(token as LeaseToken, decodeRecord(record)),
      refused: (error) => this.#handlers.refused(error),
      notice: this.#notice,
    });
  }

  get #syncedMark(): string {
    return join(this.#directory.hidden, 'synced');
  }

  #database(name: string): ReplicaDatabase {
    const database = this.#set.get(name);
    if (!database) throw databaseNotFound(name);
    return database;
  }

  #connected(primary: PrimaryInfo | undefined): void {
    if (primary === undefined && this.#primary === undefined) return;
    this.#primary = primary;
    this.#handlers.primaryChanged(primary);
  }

  #appliedTo(database: ReplicaDatabase): void {
    // One that is new is in no heartbeat yet.
    this.#primaryNames?.add(database.name);
    // A snapshot is as old as its oldest page; only transactions tell how far behind they came.
    if (database.appliedTimestampMs > 0) {
      const ageMs = Math.max(0, wallClockMs() + this.#clockSkew.ms - database.appliedTimestampMs);
      this.#applied.set(database.name, { ageMs, atMs: monotonicMs() });
    }
    const last = database.parts.log.lastRecord;
    if (last) this.#handlers.transaction(database.name, last.header, last.postApplyChecksum);
    this.#progressed();
  }

  #heard(clockMs: number, names: readonly string[] | undefined): void {
    this.#primaryNames = names && new Set(names);
    this.#clockSkew.add(clockMs - wallClockMs());
  }

  #caughtUp(): void {
    const wasInStep = this.#inStepAtMs !== undefined;
    this.#inStepAtMs = monotonicMs();
    if (this.#primary) this.#handlers.inStep(this.#primary.epoch);
    // What has waited for this primary's chain may be there by now.
    this.#progressed();
    if (wasInStep) return;
    try {
      writeFileSync(this.#syncedMark, '');
    } catch {
      // On a full disk: the next run waits for the primary before it starts the app.
    }
    clearTimeout(this.#alone);
    this.#firstSync.resolve();
    this.#handlers.lagChanged(this.#lagMs());
  }

  #housekeep(): void {
    this.#scrubbing.runIfDue(() => this.#scrub());
    this.#handlers.lagChanged(this.#lagMs());
    for (const database of this.#set.all()) database.parts.log.enforceLimits(undefined);
    // A primary sends what is missing; without one, this node may have to lead with it.
    if (this.#client || this.#isOpeningMissing || this.#isResting) return;
    this.#isOpeningMissing = true;
    this.#following = this.#following
      .then(() => (this.#client || this.#isResting ? undefined : this.#set.openMissing()))
      .finally(() => {
        this.#isOpeningMissing = false;
      });
  }

  /** While in step: the age at which the last transaction arrived. Else the time since this node was in step. */
  #lagMs(name?: string): number | undefined {
    if (this.#inStepAtMs === undefined) return undefined;
    const nowMs = monotonicMs();
    const outOfStepMs = nowMs - this.#inStepAtMs;
    if (!this.#primary || outOfStepMs > inStepMs) return outOfStepMs;
    const recent = [...this.#applied].filter(
      ([database, { atMs }]) => (name === undefined || name === database) && nowMs - atMs < inStepMs,
    );
    return Math.max(0, ...recent.map(([, { ageMs }]) => ageMs));
  }

  async #scrub(): Promise<void> {
    for (const database of this.#set.all()) {
      if ((await database.scrub()) > 0) this.#client?.resync(database.name);
    }
  }

  #progressed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function notPrimary(url: string | undefined): SkeinError {
  const where = url === undefined ? 'No primary is known at the moment.' : `Send it to the primary, ${url}.`;
  return new SkeinError('NOT_PRIMARY', `This node only reads. ${where}`);
}
