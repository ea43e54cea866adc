/** Who a node is, as it tells its peers. */
export type NodeIdentity = {
  readonly app: string;
  readonly node: string;
  readonly region: string;
  /** Under which other nodes reach its API. */
  readonly url: string;
  readonly epoch: number;
};

export type PrimaryIdentity = NodeIdentity & {
  /** Whether the release command is done. */
  readonly ready: boolean;
};

/** The `epoch` is the highest that it has heard of. */
export type ReplicaIdentity = NodeIdentity & {
  readonly candidate: boolean;
  /** The epoch of the chain that its databases are of. */
  readonly chainEpoch: number;
};
