import { monotonicMs } from '../base/clock.ts';
import type { LeaseRecord } from '../lease/lease-record.ts';
import { formatPosition, type Position } from '../ltx/position.ts';

/** A standby that is behind for longer than this makes way for another that is not. */
const standbyLagMaxMs = 500;
/** A standby that is gone for longer than this, with nobody to take its place, leaves the primary alone. */
const aloneAfterMs = 5_000;

type Replica = {
  readonly node: string;
  readonly candidate: boolean;
  /** By database: what it has of this primary's chain. */
  readonly acknowledged: ReadonlyMap<string, Position>;
  /** The epoch that it has noted for its databases: before it has this one, it could not lead. */
  readonly chainEpoch: number;
};

export type DurabilityParts = {
  readonly node: string;
  readonly epoch: number;
  /** What the record says with which this node began to lead. */
  readonly inherited: Pick<LeaseRecord, 'safe'> & { readonly standby: string };
  /** Those that are connected. */
  replicas(): readonly Replica[];
  databases(): readonly { readonly name: string; readonly position: Position }[];
  /** Whether nobody else can lead at this moment. */
  isValid(): boolean;
  /** The lease record should be written soon. */
  write(): void;
};

/**
 * What a primary may call durable: what its standby has, the one candidate that the lease record names, so that no other
 * takes the lease when both are away. A primary that is alone names itself, and calls nothing durable. A new name counts
 * from when the record with it is in the store.
 */
export class Durability {
  readonly #parts: DurabilityParts;
  /** The name that the record is to have, and the one that it has. */
  #standby: string;
  #written: string;
  /** By database: the most that the standby has acknowledged. At first all that this node had when it began to lead. */
  #safe: Map<string, Position>;
  /** Whether the standby has noted this epoch: before that, it could not prove after a crash what it acknowledged. */
  #hasProof: boolean;
  #inheritedSafe: LeaseRecord['safe'];
  /** While alone: what there was at the last look. Whoever has that by now misses nothing that anybody was told. */
  #mark: ReadonlyMap<string, Position> | undefined;
  #inStepAtMs = monotonicMs();
  #connectedAtMs = monotonicMs();
  /** What another node, which leads now, has confirmed. */
  #handedOver: ReadonlyMap<string, Position> | undefined;

  constructor(parts: DurabilityParts) {
    this.#parts = parts;
    this.#standby = parts.inherited.standby;
    this.#written = parts.inherited.standby;
    this.#hasProof = this.#standby === parts.node;
    this.#inheritedSafe = parts.inherited.safe;
    // An earlier primary may have called any of it durable: no standby has less.
    this.#safe = positionsOf(parts.databases());
  }

  /** What the lease record is to say. */
  get record(): { readonly standby: string; readonly safe: LeaseRecord['safe'] } {
    if (!this.#hasProof) return { standby: this.#standby, safe: this.#inheritedSafe };
    const safe = this.#standby === this.#parts.node ? positionsOf(this.#parts.databases()) : this.#safe;
    const positions = [...safe].map(([name, position]) => [name, formatPosition(position)] as const);
    return {
      standby: this.#standby,
      safe: { epoch: this.#parts.epoch, positions: Object.fromEntries(positions) },
    };
  }

  /** The record is in the store. */
  written({ standby }: Pick<LeaseRecord, 'standby'>): void {
    this.#written = standby ?? this.#parts.node;
    this.check();
  }

  /** All of this is at another node, which leads now. */
  handedOver(positions: ReadonlyMap<string, Position>): void {
    this.#handedOver = positions;
  }

  /** The database was deleted; one that is made anew under its name is another. */
  forget(name: string): void {
    this.#safe.delete(name);
    const { epoch, positions } = this.#inheritedSafe;
    const { [name]: _, ...others } = positions;
    this.#inheritedSafe = { epoch, positions: others };
    this.#parts.write();
  }

  /** To be asked right before the answer goes out. */
  isDurable(database: string, position: Position): boolean {
    if (this.#handedOver) return (this.#handedOver.get(database)?.txid ?? -1) >= position.txid;
    if (this.#standby === this.#parts.node || this.#standby !== this.#written || !this.#parts.isValid())
      return false;
    this.#takeAcknowledged();
    const safe = this.#safe.get(database);
    return this.#hasProof && safe !== undefined && safe.txid >= position.txid;
  }

  /** Looks whether the standby still is one; to be called every 100 ms or so. */
  check(): void {
    // While a name is on its way to the store, nobody can tell whom the record names.
    if (this.#handedOver || this.#standby !== this.#written) return;
    const replicas = this.#parts.replicas().filter((replica) => this.#couldLead(replica));
    const next =
      this.#standby === this.#parts.node ? this.#endOfBeingAlone(replicas) : this.#successor(replicas);
    if (next === undefined) return;
    this.#standby = next;
    this.#hasProof = true;
    this.#mark = undefined;
    this.#inStepAtMs = monotonicMs();
    this.#connectedAtMs = this.#inStepAtMs;
    this.#parts.write();
  }

  #couldLead({ node, candidate, chainEpoch }: Replica): boolean {
    return node === this.#standby || (candidate && chainEpoch >= this.#parts.epoch);
  }

  #endOfBeingAlone(replicas: readonly Replica[]): string | undefined {
    const mark = this.#mark;
    this.#mark = positionsOf(this.#parts.databases());
    const best = mark && mostAdvanced(replicas.filter((replica) => hasReached(replica, mark)));
    if (best) this.#safe = new Map(best.acknowledged);
    return best?.node;
  }

  /** Undefined while the standby stays. */
  #successor(replicas: readonly Replica[]): string | undefined {
    this.#takeAcknowledged();
    const nowMs = monotonicMs();
    const current = replicas.find(({ node }) => node === this.#standby);
    if (current) this.#connectedAtMs = nowMs;
    if (current && hasReached(current, positionsOf(this.#parts.databases()))) this.#inStepAtMs = nowMs;
    if (current && nowMs - this.#inStepAtMs < standbyLagMaxMs) return undefined;
    const others = replicas.filter((replica) => replica !== current && hasReached(replica, this.#safe));
    const best = mostAdvanced(others.filter((replica) => this.#followsAll(replica)));
    if (best && (!current || transactionsOf(best) > transactionsOf(current))) return best.node;
    return nowMs - this.#connectedAtMs > aloneAfterMs ? this.#parts.node : undefined;
  }

  #takeAcknowledged(): void {
    const standby = this.#parts.replicas().find(({ node }) => node === this.#standby);
    if (!this.#hasProof && standby && standby.chainEpoch >= this.#parts.epoch) {
      this.#hasProof = true;
      this.#parts.write();
    }
    const positions = positionsOf(this.#parts.databases());
    // A database that was deleted, or made anew under the same name, begins from nothing.
    for (const [name, { txid }] of this.#safe)
      if ((positions.get(name)?.txid ?? 0) < txid) this.#safe.delete(name);
    for (const [name, position] of standby?.acknowledged ?? []) {
      if (positions.has(name) && position.txid > (this.#safe.get(name)?.txid ?? 0))
        this.#safe.set(name, position);
    }
  }

  #followsAll({ acknowledged }: Replica): boolean {
    return this.#parts.databases().every(({ name }) => acknowledged.has(name));
  }
}

function positionsOf(
  databases: readonly { readonly name: string; readonly position: Position }[],
): Map<string, Position> {
  return new Map(databases.map(({ name, position }) => [name, position]));
}

function hasReached({ acknowledged }: Replica, positions: ReadonlyMap<string, Position>): boolean {
  return [...positions].every(([name, { txid }]) => (acknowledged.get(name)?.txid ?? -1) >= txid);
}

function mostAdvanced(replicas: readonly Replica[]): Replica | undefined {
  return [...replicas].sort((one, other) => transactionsOf(other) - transactionsOf(one))[0];
}

function transactionsOf({ acknowledged }: Replica): number {
  return [...acknowledged.values()].reduce((sum, { txid }) => sum + txid, 0);
}
