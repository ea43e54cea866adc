import type { DurabilityLevel } from './durable.ts';
import type { LocalPositions } from './local-positions.ts';

/** All of it may be left out. */
export type MiddlewareOptions = {
  /** What becomes of a write on a replica: sent on by this process, or answered with `fly-replay` for a proxy that does it. */
  readonly forward?: 'direct' | 'fly-replay';
  /** What has to hold a write before it is answered: `auto` unless given. */
  readonly durability?: DurabilityLevel;
  /** How long an answer waits for that; then it goes out, and says so. 5,000. */
  readonly durabilityWaitMs?: number;
  /** The one database whose position goes into cookie and header; all unless given. */
  readonly database?: string;
  /** How long a request for the primary is held while there is none. 20,000. */
  readonly primaryWaitMs?: number;
  /** How long a reader waits until this replica has what it wrote elsewhere; then the primary answers. 5,000. */
  readonly readWaitMs?: number;
  /** Paths, `*` for any characters, whose requests go to the primary whatever their method. */
  readonly alwaysForward?: readonly string[];
  /** Paths, `*` for any characters, that this library leaves alone. */
  readonly passthrough?: readonly string[];
  /** A path at which the node's own health is told: 200 or 503. None. */
  readonly healthPath?: string;
  /** A write that is caught by a change of the lead is sent to the new primary if its body is no longer than this. 1 MiB. */
  readonly replayBytesMax?: number;
};

export type Settings = Required<
  Omit<MiddlewareOptions, 'alwaysForward' | 'database' | 'passthrough' | 'healthPath'>
> & {
  readonly alwaysForward: RegExp | undefined;
  readonly passthrough: RegExp | undefined;
  readonly healthPath: string | undefined;
  readonly database: string | undefined;
};

/** The databases that a position may be of: one without a name is of a single one. */
export function namesFor({ database }: Settings, positions: LocalPositions): readonly string[] {
  return database === undefined ? positions.names() : [database];
}

export function settingsOf(options: MiddlewareOptions): Settings {
  return {
    forward: options.forward ?? 'direct',
    durability: options.durability ?? 'auto',
    durabilityWaitMs: options.durabilityWaitMs ?? 5_000,
    primaryWaitMs: options.primaryWaitMs ?? 20_000,
    readWaitMs: options.readWaitMs ?? 5_000,
    replayBytesMax: options.replayBytesMax ?? 1024 * 1024,
    alwaysForward: patternOf(options.alwaysForward),
    passthrough: patternOf(options.passthrough),
    healthPath: options.healthPath,
    database: options.database,
  };
}

function patternOf(paths: readonly string[] = []): RegExp | undefined {
  if (paths.length === 0) return undefined;
  const patterns = paths.map((path) =>
    path
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  );
  return new RegExp(`^(?:${patterns.join('|')})$`, 's');
}
