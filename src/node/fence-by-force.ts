import type { DatabaseContext } from '../database/database-parts.ts';
import type { PrimaryReplication } from './primary-replication.ts';

/** How long a writer has to let go before its process is killed. */
export const fenceTimeoutMs = 200;
const fenceRetryMs = 1_000;

export type ForceParts = {
  readonly warn: DatabaseContext['warn'];
  /** SIGKILL to the processes that run on the primary only, or to all. */
  kill(which: 'primary' | 'all'): void;
};

/**
 * Keeps every program from writing, whatever it takes: a writer of the app that does not let go in time is killed, any other is waited
 * for until `signal` aborts. Never rejects.
 */
export async function fenceByForce(
  primary: PrimaryReplication,
  { warn, kill }: ForceParts,
  signal: AbortSignal,
): Promise<void> {
  kill('primary');
  let held = await primary.fence(fenceTimeoutMs, signal);
  if (signal.aborted) return;
  if (held.length > 0) {
    warn('a writer does not let go before the lease ends: the app is killed', { databases: held.join(', ') });
    kill('all');
  }
  while (held.length > 0 && !signal.aborted) {
    held = await primary.fence(fenceRetryMs, signal);
    if (held.length > 0)
      warn('a program that is not the app writes on although this node does not lead', {
        databases: held.join(', '),
      });
  }
}
