/** Who a node is, as it tells its peers. */
export type NodeIdentity = {
  readonly app: string;
  readonly node: string;
  readonly region: string;
  readonly epoch: number;
};

export type PrimaryIdentity = NodeIdentity & {
  /** Whether the release command is done. */
  readonly ready: boolean;
};
