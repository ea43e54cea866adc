import type { SeededNumbers } from '../support/random.ts';
import type { LeaseKind } from './lease-store.ts';
import type { Direction } from './link.ts';

/** A node by its place, or whichever leads when the fault comes. */
export type Target = number | 'primary';

/** One that lasts ends `forMs` after it began. */
export type Fault =
  | { readonly kind: 'kill-node' | 'kill-app' | 'restart' | 'handoff' | 'promote'; readonly target: Target }
  | {
      readonly kind: 'freeze-node' | 'freeze-both' | 'freeze-app' | 'cut-store' | 'hold';
      readonly target: Target;
      readonly forMs: number;
    }
  | {
      readonly kind: 'cut-node';
      readonly target: Target;
      readonly direction: Direction;
      readonly forMs: number;
    }
  | {
      readonly kind: 'cut-link';
      readonly from: number;
      readonly to: number;
      readonly direction: Direction;
      readonly resets: boolean;
      readonly forMs: number;
    }
  | { readonly kind: 'clock'; readonly target: Target; readonly offsetMs: number }
  | { readonly kind: 'stop-store' | 'fill-disk'; readonly forMs: number };

/** What takes data away, of which one at a time is survived: done while nothing else is wrong. */
export type Disaster =
  | { readonly kind: 'empty-store' }
  /** A node goes back to a copy of its directory from the beginning of the round; with `stopsAll` it starts first and alone. */
  | { readonly kind: 'restore'; readonly target: Target; readonly stopsAll: boolean }
  /** All stop, one loses its directory and starts first and alone. */
  | { readonly kind: 'empty-first'; readonly target: Target; readonly kills: boolean };

export type Step = { readonly afterMs: number; readonly fault: Fault };
export type Round = {
  readonly steps: readonly Step[];
  /** From the last step until all is healed. */
  readonly restMs: number;
  readonly disaster: Disaster | undefined;
};
export type Plan = {
  readonly lease: LeaseKind;
  readonly count: number;
  round(): Round;
};

export const leaseKinds = ['file', 'etcd', 'redis'] as const;
const lastsMs = { least: 300, most: 5_000 };
const directions = ['forth', 'back', 'both'] as const;
const stepsInRound = { least: 4, most: 8 };
/** How often each comes, against the others. */
const weights = {
  'kill-node': 5,
  'kill-app': 2,
  restart: 2,
  handoff: 4,
  promote: 2,
  'freeze-node': 3,
  'freeze-both': 3,
  'freeze-app': 1,
  hold: 2,
  'cut-store': 3,
  'cut-node': 2,
  'cut-link': 3,
  clock: 2,
  'stop-store': 2,
  'fill-disk': 1,
} as const satisfies Record<Fault['kind'], number>;
const kinds = Object.entries(weights).flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind as Fault['kind']),
);

/** All that a run does, and nothing but the seed decides it; the first number decides which lease. */
export function planOf(seed: number, random: SeededNumbers): Plan {
  const lease = leaseKinds[seed % leaseKinds.length] ?? 'file';
  const count = random.between(3, 5);
  return { lease, count, round: () => roundOf(random, count) };
}

/** The nearest seed from this one on that runs with the lease. */
export function seedFor(lease: LeaseKind, from: number): number {
  return from - (from % leaseKinds.length) + leaseKinds.indexOf(lease);
}

function roundOf(random: SeededNumbers, count: number): Round {
  const steps = Array.from({ length: random.between(stepsInRound.least, stepsInRound.most) }, () => ({
    afterMs: random.between(0, 3_500),
    fault: faultOf(random, count),
  }));
  return { steps, restMs: random.between(0, lastsMs.most), disaster: disasterOf(random, count) };
}

function faultOf(random: SeededNumbers, count: number): Fault {
  const kind = pick(random, kinds);
  const target = random.between(0, 1) === 0 ? 'primary' : random.between(0, count - 1);
  const forMs = random.between(lastsMs.least, lastsMs.most);
  switch (kind) {
    case 'kill-node':
    case 'kill-app':
    case 'restart':
      return { kind, target };
    case 'handoff':
      return { kind, target: 'primary' };
    case 'hold':
      return { kind, target: 'primary', forMs };
    case 'promote':
      return { kind, target: random.between(0, count - 1) };
    case 'freeze-node':
    case 'freeze-both':
    case 'freeze-app':
    case 'cut-store':
      return { kind, target, forMs };
    case 'cut-node':
      return { kind, target, direction: pick(random, directions), forMs };
    case 'cut-link': {
      const from = random.between(0, count - 1);
      const to = (from + random.between(1, count - 1)) % count;
      const resets = random.between(0, 1) === 0;
      return { kind, from, to, direction: pick(random, directions), resets, forMs };
    }
    case 'clock':
      return { kind, target, offsetMs: random.between(-600_000, 600_000) };
    case 'stop-store':
    case 'fill-disk':
      return { kind, forMs };
  }
}

function disasterOf(random: SeededNumbers, count: number): Disaster | undefined {
  const target = random.between(0, 1) === 0 ? 'primary' : random.between(0, count - 1);
  switch (random.between(0, 4)) {
    case 0:
      return undefined;
    case 1:
      return { kind: 'empty-store' };
    case 2:
      return { kind: 'empty-first', target, kills: random.between(0, 1) === 0 };
    default:
      return { kind: 'restore', target, stopsAll: random.between(0, 1) === 0 };
  }
}

function pick<Value>(random: SeededNumbers, values: readonly Value[]): Value {
  const value = values[random.between(0, values.length - 1)];
  if (value === undefined) throw new Error('there is nothing to choose from');
  return value;
}
