import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PinnedPages } from '../database/pinned-state.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { Checksum, Position } from '../ltx/position.ts';
import type { KnownReplica } from '../stream/stream-server.ts';

export type DatabaseStatus = {
  readonly name: string;
  readonly position: Position;
  /** How far this node is behind the primary, ms; undefined when it was never in step. */
  readonly lagMs: number | undefined;
  readonly walFrames: number;
  readonly walBytes: number;
  readonly logBytes: number;
  /** How long writers waited for the last WAL recycle, ms; undefined on a replica. */
  readonly recyclePauseMs: number | undefined;
};

/** Who leads, as its replicas know it. */
export type PrimaryNode = { readonly node: string; readonly region: string; readonly url: string };

/** What the rest of the node sees of its databases, whichever role it has. One file for each role. */
export type Replication = {
  readonly role: 'primary' | 'replica';
  /** Resolves when the app may start: on a replica, when it first holds all that the primary has. */
  readonly synced: Promise<void>;
  /** This node has another role by now. */
  readonly isOver: boolean;
  /** Of a lead that is over: all that was written in it is at the node that leads now. */
  readonly hasHandedOver: boolean;
  /** Of a lead that is over: whether it is certain that nobody has written here since these positions. See `LeadEnd`. */
  hasStayedAt(positions: ReadonlyMap<string, Position>): boolean;
  /** The primary, as far as this node is connected to it. */
  primary(): PrimaryNode | undefined;
  databases(): DatabaseStatus[];
  /** By database. */
  positions(): ReadonlyMap<string, Position>;
  /** Undefined for a database that is not here. */
  position(database: string): Position | undefined;
  replicas(): KnownReplica[];
  /** What stands still and why, by database. */
  problems(): ReadonlyMap<string, string>;
  /** The position that holds all that is committed now. Throws `DATABASE_NOT_FOUND`. */
  currentPosition(database: string): Promise<Position>;
  /** Whether the position is known never to have been, or to be no more, a state of this database. */
  contradicts(database: string, position: Position): boolean;
  /** Whether the position survives the loss of this node: see `Durability`. */
  isDurable(database: string, position: Position): boolean;
  /** Names of other nodes that hold the position, and whether each is a candidate. */
  holders(database: string, position: Position): { readonly node: string; readonly candidate: boolean }[];
  /** Called whenever any position, here or at a replica, has moved. */
  onProgress(listener: () => void): () => void;
  /** Throws `DATABASE_NOT_FOUND`. */
  pin(database: string): Promise<PinnedPages>;
  /** A file that was put in place of nothing, or into a database. Throws `NOT_PRIMARY`. */
  rescan(): Promise<void>;
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  stop(): Promise<void>;
};

export type ReplicationHandlers = {
  transaction(database: string, header: LtxHeader, postApplyChecksum: Checksum): void;
  primaryChanged(primary: { readonly node: string } | undefined): void;
  lagChanged(lagMs: number | undefined): void;
  refused(error: Error): void;
  /** A peer has seen this epoch. */
  heardOf(epoch: number): void;
};
