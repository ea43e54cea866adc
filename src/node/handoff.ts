import { SkeinError } from '../base/errors.ts';
import type { Leadership } from '../lease/leadership.ts';
import type { KnownReplica } from '../stream/stream-server.ts';
import type { PrimaryReplication } from './primary-replication.ts';

/** How long a writer has to let go: nobody waits for the lease to end. */
const fenceTimeoutMs = 10_000;
/** How long a target has to confirm that it has everything. */
export const shipTimeoutMs = 3_000;

export type HandoffParts = {
  readonly primary: PrimaryReplication;
  readonly leadership: Leadership;
  /** This node is being stopped. */
  readonly signal: AbortSignal;
  /** Whether this node still is the primary that is fenced for the handoff. */
  isFenced(): boolean;
};

/** The named candidate, or one that is in step. Throws `NO_CANDIDATE`. */
export function targetOf(primary: PrimaryReplication, node: string | undefined): KnownReplica {
  const candidates = primary.replicas().filter(({ connected, candidate }) => connected && candidate);
  const target =
    node === undefined
      ? (primary.inStep()[0] ?? candidates[0])
      : candidates.find((replica) => replica.node === node);
  if (target) return target;
  throw new SkeinError(
    'NO_CANDIDATE',
    node === undefined
      ? 'No candidate is connected to this primary. GET /status shows the replicas.'
      : `${node} is no candidate that is connected to this primary. GET /status shows the replicas.`,
  );
}

/**
 * Fences, has the target confirm that it has everything, and hands it the lease. Rejects with `DATABASE_BUSY`, `NO_CANDIDATE`,
 * and as `Leadership.handOver` does.
 */
export async function handTo(target: KnownReplica, parts: HandoffParts): Promise<void> {
  const { primary, leadership } = parts;
  const { node, region, url } = target;
  const held = await primary.fence(fenceTimeoutMs, parts.signal);
  if (held.length > 0) {
    throw new SkeinError(
      'DATABASE_BUSY',
      `A transaction on ${held.join(', ')} does not end, so the lease cannot be handed over. Try again when it is done.`,
    );
  }
  await primary.captureAll();
  const positions = await primary.shipped(shipTimeoutMs, node);
  if (!positions)
    throw new SkeinError('NO_CANDIDATE', `${node} did not confirm in time that it has everything.`);
  if (!parts.isFenced())
    throw new SkeinError('LEASE_LOST', 'The lease was lost before it could be handed over.');
  await leadership.handOver(
    { node, region, url },
    (token, record) => primary.handTo(node, token, record),
    () => primary.handedOver(positions),
  );
}
