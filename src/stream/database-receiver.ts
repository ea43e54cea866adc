import { SkeinError } from '../base/errors.ts';
import type { LostRange } from '../database/lost-entry.ts';
import type { ReplicaApply } from '../database/replica-apply.ts';
import type { ReplicaDatabase } from '../database/replica-database.ts';
import type { DatabaseInstall, ReplicaSet } from '../database/replica-set.ts';
import { type Position, positionsEqual } from '../ltx/position.ts';
import { type Chunk, chunkKind } from './protocol.ts';

/** What a primary says of a state that is about to replace this node's. */
export type ComparedState = {
  readonly position: Position;
  /** Some positions of the primary's log, newest first, and the oldest. */
  readonly shared: readonly Position[];
  readonly epoch: number;
};

/** Puts the chunks of one database together, and has each LTX file applied when its last chunk is there. */
export class DatabaseReceiver {
  readonly name: string;
  readonly #set: ReplicaSet;
  /** Whether the primary sends each transaction as it comes, and no whole state any more. */
  isFollowing = false;
  #apply: ReplicaApply | undefined;
  #install: DatabaseInstall | undefined;

  constructor(set: ReplicaSet, name: string) {
    this.#set = set;
    this.name = name;
  }

  get database(): ReplicaDatabase | undefined {
    return this.#set.get(this.name);
  }

  /**
   * Keeps this node's state before the primary's replaces it, where it may hold transactions that the primary does not have:
   * this node led and nobody got its last ones, or the primary lost its disk or was restored from an old copy. Rejects as
   * `ReplicaSet.keepLost` does.
   */
  async keepIfDiverged(primary: ComparedState, epoch: number): Promise<void> {
    const { database } = this;
    if (!database) return;
    const range = lostRange(database, primary, epoch);
    if (!range) return;
    await this.#set.keepLost(
      database,
      'this node has transactions that the primary does not have',
      epoch,
      range,
    );
  }

  /**
   * Takes the next chunk. Returns the new position after a file's last one. Rejects with `LTX_INVALID`,
   * `POSITION_MISMATCH`, `PROTOCOL_INVALID` or the system's error; nothing of the file counts then.
   */
  async take(chunk: Chunk): Promise<Position | undefined> {
    try {
      if (chunk.first) await this.#begin(chunk);
      const target = this.#apply ?? this.#install;
      if (!target)
        throw new SkeinError(
          'PROTOCOL_INVALID',
          `The primary sent a piece of ${this.name} without its beginning.`,
        );
      target.push(chunk.bytes);
      await this.#install?.room();
      return chunk.last ? await this.#finish() : undefined;
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  abort(): void {
    this.#apply?.abort();
    this.#install?.abort();
    this.#apply = undefined;
    this.#install = undefined;
  }

  async #begin(chunk: Chunk): Promise<void> {
    this.abort();
    if (chunk.kind === chunkKind.snapshot) {
      // Also when a database is here: pages of another size cannot go into it. It stays until the new one is whole.
      this.#install = this.#set.beginInstall(this.name);
      return;
    }
    const { database } = this;
    if (!database || chunk.kind === chunkKind.checksums) {
      throw new SkeinError(
        'PROTOCOL_INVALID',
        `The primary sent changes for ${this.name}, which is not here.`,
      );
    }
    await database.recycleIfDue();
    this.#apply = database.beginApply(chunk.kind === chunkKind.next ? 'next' : 'changed', chunk.bytes);
  }

  async #finish(): Promise<Position> {
    const apply = this.#apply;
    const install = this.#install;
    let position: Position | undefined;
    if (apply) position = apply.finish();
    else if (install) position = (await install.finish()).position;
    this.#apply = undefined;
    this.#install = undefined;
    if (!position) throw new SkeinError('PROTOCOL_INVALID', `${this.name} ended before it began.`);
    return position;
  }
}

/** Where this node's own transactions begin; undefined when there are none that the primary could miss. */
function lostRange(
  { parts: { log }, position }: ReplicaDatabase,
  primary: ComparedState,
  epoch: number,
): LostRange | undefined {
  if (!log.isStarted || position.checksum === primary.position.checksum) return undefined;
  const shared = primary.shared.find((candidate) => log.find(candidate));
  const range = { from: shared ?? log.base, isCertain: shared !== undefined };
  const isOtherChain = epoch !== primary.epoch;
  // A state that the log does not know: of one who followed it is damage, of one who led it may be a last commit.
  if (position.txid === 0) return isOtherChain ? range : undefined;
  if (shared) return positionsEqual(shared, position) ? undefined : range;
  const oldest = primary.shared.at(-1) ?? primary.position;
  // Before all that the primary's log has: merely away for long, if the same node has led since.
  return position.txid >= oldest.txid || isOtherChain ? range : undefined;
}
