/** A node of this app, as the node of this process knows it. */
export type NodePlace = {
  readonly node: string;
  readonly region?: string;
  readonly role: 'primary' | 'replica';
  /** Under which other nodes reach its API. */
  readonly url?: string;
  /** Whether it is the node of this process. */
  readonly isSelf: boolean;
  /** Whether it may lead. */
  readonly candidate?: boolean;
};

type Told = {
  readonly node: string;
  readonly region?: string;
  readonly url?: string;
  readonly candidate?: boolean;
  readonly connected?: boolean;
};

/** As much of GET /status as names nodes. An older node does not tell all of it. */
export type StatusOfNodes = Told & {
  readonly primary: Told | null;
  readonly replicas?: readonly Told[];
  readonly peers?: readonly Told[];
};

/** The node itself, its primary, and those that it has a link with at this moment, by name. */
export function nodePlaces(status: StatusOfNodes): NodePlace[] {
  const { primary, replicas = [], peers = [] } = status;
  const others = [...replicas, ...peers].filter(({ connected }) => connected);
  const known = new Map<string, Told>();
  for (const told of [...(primary ? [primary] : []), status, ...others])
    known.set(told.node, merged(known.get(told.node), told));
  return [...known.values()]
    .map(({ node, region, url, candidate }) => ({
      node,
      ...(region ? { region } : {}),
      role: node === primary?.node ? ('primary' as const) : ('replica' as const),
      ...(url ? { url } : {}),
      isSelf: node === status.node,
      ...(candidate === undefined ? {} : { candidate }),
    }))
    .sort((one, other) => (one.node < other.node ? -1 : 1));
}

function merged(before: Told | undefined, { node, region, url, candidate }: Told): Told {
  return {
    ...before,
    node,
    ...(region ? { region } : {}),
    ...(url ? { url } : {}),
    ...(candidate === undefined ? {} : { candidate }),
  };
}
