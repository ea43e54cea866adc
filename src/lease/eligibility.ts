import { isDisabled } from '../base/failpoint.ts';
import { parsePosition } from '../ltx/position.ts';
import type { LeaseRecord } from './lease-record.ts';

/** What decides whether a node may lead. */
export type Candidacy = {
  readonly node: string;
  readonly candidate: boolean;
  /** The epoch of the last leader whose chain this node was seen to follow, or that it was itself; 0 for none. */
  readonly epoch: number;
  /** By database, formatted. */
  readonly positions: Readonly<Record<string, string>>;
  /** False when the machine went down since: what was not on the disk is gone, if it was this node's own. */
  readonly isWhole?: boolean;
};

/**
 * Why the node may not take a free lease, as a sentence's end after its name; undefined when it may. `DESIGN.md` has the
 * argument that no node which may lacks anything that was acknowledged at `replica` durability.
 */
export function obstacleTo(self: Candidacy, record: LeaseRecord | undefined): string | undefined {
  if (!self.candidate) return 'is no candidate ([node] candidate), or is being stopped';
  if (!record || isDisabled('safe-position')) return undefined;
  const behind = databaseBehind(self, record.safe.epoch, record.safe.positions);
  if (behind !== undefined) return `lacks acknowledged transactions of ${behind}`;
  const { standby, holder } = record;
  if (standby === null) return undefined;
  if (holder?.node === self.node) {
    if (self.isWhole === false && standby !== self.node)
      return `went down with its machine, and may lack what ${standby} acknowledged, which has to come back`;
    // A copy of the last holder's directory that is older than its last renewal is not the last holder. Before it led, its
    // positions are of the chain that it came from.
    const lost = databaseBehind(self, record.safe.epoch, record.positions);
    if (lost !== undefined) return `led last, and has lost transactions of ${lost} since`;
    return undefined;
  }
  if (standby === self.node) return undefined;
  const last = holder?.node ?? 'the last primary';
  return standby === holder?.node
    ? `cannot know what ${last} wrote last, which led alone; it has to come back`
    : `cannot know what ${last} and its standby ${standby} acknowledged last; one of the two has to come back`;
}

/** The first database in which the node may lack what a chain of `epoch` has at a position. */
function databaseBehind(
  self: Candidacy,
  epoch: number,
  positions: Readonly<Record<string, string>>,
): string | undefined {
  for (const [name, position] of Object.entries(positions)) {
    if (self.epoch < epoch || !reaches(self.positions[name], position)) return name;
  }
  return undefined;
}

/** Whether a position is at another or beyond it, on one chain. */
export function reaches(own: string | undefined, other: string): boolean {
  const [mine, theirs] = [own === undefined ? undefined : parsePosition(own), parsePosition(other)];
  if (!mine || !theirs) return false;
  return mine.txid === theirs.txid ? mine.checksum === theirs.checksum : mine.txid > theirs.txid;
}

/** Above zero when `one` has more than `other`: by the chain first, then by the number of transactions. */
export function compareAdvance(
  one: Pick<Candidacy, 'epoch' | 'positions'>,
  other: Pick<Candidacy, 'epoch' | 'positions'>,
): number {
  return one.epoch - other.epoch || transactionsIn(one.positions) - transactionsIn(other.positions);
}

function transactionsIn(positions: Readonly<Record<string, string>>): number {
  return Object.values(positions).reduce((sum, text) => sum + (parsePosition(text)?.txid ?? 0), 0);
}
