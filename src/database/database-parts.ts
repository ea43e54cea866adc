import { join } from 'node:path';
import { Log, type LogLimits } from '../log/log.ts';
import type { Checkpointer } from '../sqlite/checkpointer.ts';
import type { LostEntry } from './lost-entries.ts';
import { PositionFile } from './position-file.ts';

/** What all databases of a node share. */
export type DatabaseContext = {
  /** The directory that the app's databases lie in. */
  readonly directory: string;
  /** Skein's own directory in it. */
  readonly hiddenDirectory: string;
  readonly logLimits: LogLimits;
  readonly checkpointer: Checkpointer;
  /** Whether a log may be ahead of its database, since the machine went down. */
  readonly rollForward: boolean;
  /** The node's name. */
  readonly node: string;
  /** Random at each start; goes into every LTX file that this node makes. */
  readonly nodeId: bigint;
  /** The TXID above which a new chain begins: it rises with the epoch. */
  readonly chainBase: () => number;
  /** WAL frames after which the WAL is recycled. */
  readonly recycleFrames: number;
  /** For the node's log: something a person may want to know. */
  readonly notice: (message: string, fields: Record<string, unknown>) => void;
  /** The same, for what a person should look at. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
  /** A state that only this node had was kept in `.skein/lost`. */
  readonly lost: (entry: LostEntry) => void;
};

/** What belongs to one database whether this node leads or follows. A promotion hands it on as it is. */
export type DatabaseParts = {
  readonly name: string;
  readonly path: string;
  readonly log: Log;
  readonly positionFile: PositionFile;
};

/** No chain of an earlier epoch has come so far, unless by more than four thousand million transactions in an epoch. */
export function chainBaseOf(epoch: number): number {
  return Math.min(Math.max(0, epoch - 1) * 2 ** 32, 2 ** 52);
}

export function openParts(context: DatabaseContext, name: string): DatabaseParts {
  const path = join(context.directory, name);
  return {
    name,
    path,
    log: new Log(join(context.hiddenDirectory, 'log', name), context.logLimits),
    positionFile: new PositionFile(path),
  };
}
