import type { PrimaryPlace } from '../node/primary-watch.ts';
import type { Replication } from '../node/replication.ts';

export type PeerNode = { readonly node: string; readonly region: string; readonly url: string };

/** The node behind a door, as far as its requests depend on it. */
export type DoorNode = {
  readonly app: string;
  readonly name: string;
  readonly region: string;
  readonly secret: string | undefined;
  /** By it the library in the app knows what came through this door, and does not do the same once more. */
  readonly appToken: string;
  /** Undefined while the node starts. */
  replication(): Replication | undefined;
  /** Of the last primary whose chain all databases here follow, this node itself perhaps; 0 for none. */
  chainEpoch(): number;
  /** Has databases found that the app has just made. */
  lookForNew(replication: Replication): Promise<void>;
  /** Whether the app may write here now. */
  canWrite(): boolean;
  /** Undefined while nobody is known to lead. */
  primary(): PrimaryPlace | undefined;
  /** All other nodes that are known here. */
  peers(): Promise<readonly PeerNode[]>;
};
