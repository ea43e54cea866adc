import { monotonicMs } from '../base/clock.ts';
import type { LeaseRecord } from '../lease/lease-record.ts';
import { formatPosition, type Position, type Txid } from '../ltx/position.ts';

/** A standby that is behind for longer than this makes way for another that is not. */
const standbyLagMaxMs = 500;

type Replica = {
  readonly node: string;
  readonly candidate: boolean;
  /** By database: what it has of this primary's chain. */
  readonly acknowledged: ReadonlyMap<string, Position>;
};

export type DurabilityParts = {
  readonly epoch: number;
  /** Those that are connected. */
  replicas(): readonly Replica[];
  databases(): readonly { readonly name: string; readonly position: Position }[];
  /** Whether nobody else can lead at this moment. */
  isValid(): boolean;
  /** The lease record should be written soon. */
  write(): void;
};

/**
 * What a primary may call durable: what its standby has, one candidate that the lease record names, so that no other
 * takes the lease when both are away. A new standby counts from when the record with its name is in the store.
 */
export class Durability {
  readonly #parts: DurabilityParts;
  /** The name that the record is to have, and the one that it has. */
  #standby: string | null = null;
  #written: string | null = null;
  /** By database: the most that the standby has acknowledged. At first all that this node had when it began to lead. */
  readonly #safe: Map<string, Position>;
  #inStepAtMs = monotonicMs();

  constructor(parts: DurabilityParts) {
    this.#parts = parts;
    // An earlier primary may have called any of it durable: no standby has less.
    this.#safe = new Map(parts.databases().map(({ name, position }) => [name, position]));
  }

  /** Undefined until there was a standby: what the record said before stands. */
  get record(): Pick<LeaseRecord, 'standby' | 'safe'> | undefined {
    if (this.#standby === null) return undefined;
    const positions = [...this.#safe].map(([name, position]) => [name, formatPosition(position)] as const);
    return {
      standby: this.#standby,
      safe: { epoch: this.#parts.epoch, positions: Object.fromEntries(positions) },
    };
  }

  /** The record is in the store. */
  written({ standby }: Pick<LeaseRecord, 'standby'>): void {
    this.#written = standby;
    this.check();
  }

  /** To be asked right before the answer goes out. */
  isDurable(database: string, position: Position): boolean {
    if (!this.#isStandbyKnown || !this.#parts.isValid()) return false;
    this.#takeAcknowledged();
    const safe = this.#safe.get(database);
    return safe !== undefined && safe.txid >= position.txid;
  }

  /** Looks whether the standby still is one; to be called now and then, and when a replica has progressed. */
  check(): void {
    if (this.#isStandbyKnown) this.#takeAcknowledged();
    const replicas = this.#parts.replicas().filter(({ candidate }) => candidate);
    const current = replicas.find(({ node }) => node === this.#standby);
    const nowMs = monotonicMs();
    if (current && this.#isInStep(current)) this.#inStepAtMs = nowMs;
    if (current && nowMs - this.#inStepAtMs < standbyLagMaxMs) return;
    // While a name is on its way to the store, nobody can tell whom the record names.
    if (this.#standby !== this.#written) return;
    const best = replicas
      .filter((replica) => replica.node !== this.#standby && this.#hasAllThatIsSafe(replica))
      .sort((one, other) => transactionsOf(other) - transactionsOf(one))[0];
    if (!best || (current && transactionsOf(best) <= transactionsOf(current))) return;
    this.#standby = best.node;
    this.#inStepAtMs = nowMs;
    this.#parts.write();
  }

  get #isStandbyKnown(): boolean {
    return this.#standby !== null && this.#standby === this.#written;
  }

  #takeAcknowledged(): void {
    const standby = this.#parts.replicas().find(({ node }) => node === this.#standby);
    const positions = new Map(this.#parts.databases().map(({ name, position }) => [name, position]));
    // A database that was deleted, or made anew under the same name, begins from nothing.
    for (const [name, { txid }] of this.#safe)
      if ((positions.get(name)?.txid ?? 0) < txid) this.#safe.delete(name);
    for (const [name, position] of standby?.acknowledged ?? []) {
      if (positions.has(name) && position.txid > (this.#safe.get(name)?.txid ?? 0))
        this.#safe.set(name, position);
    }
  }

  #isInStep({ acknowledged }: Replica): boolean {
    return this.#parts
      .databases()
      .every(({ name, position }) => hasReached(acknowledged.get(name), position.txid));
  }

  /** It has begun to follow each database, and misses nothing that was called durable. */
  #hasAllThatIsSafe({ acknowledged }: Replica): boolean {
    return this.#parts
      .databases()
      .every(({ name }) => hasReached(acknowledged.get(name), this.#safe.get(name)?.txid ?? (0 as Txid)));
  }
}

function hasReached(position: Position | undefined, txid: Txid): boolean {
  return position !== undefined && position.txid >= txid;
}

function transactionsOf({ acknowledged }: Replica): number {
  return [...acknowledged.values()].reduce((sum, { txid }) => sum + txid, 0);
}
