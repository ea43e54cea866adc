import type { PeerInfo } from '../bus/frames.ts';
import type { Leadership } from '../lease/leadership.ts';
import type { Replication } from './replication.ts';

/** The other nodes that the stream and the lease record name, and this one where it is among them. */
export function knownNodes(
  replication: Replication | undefined,
  leadership: Leadership | undefined,
): PeerInfo[] {
  const known: PeerInfo[] = (replication?.replicas() ?? []).filter(({ connected }) => connected);
  const primary = replication?.primary();
  if (primary) known.push(primary);
  const holder = leadership?.report().holder;
  if (holder) known.push(holder);
  return known.map(({ node, region, url }) => ({ node, region, url }));
}
