import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { NodeProcess } from './node-process.ts';
import { fetchStatus, isServing, leadingStatus } from './node-status.ts';

const pollMs = 50;
/** Loading the places takes most of it, on a slow machine. */
const startTimeoutMs = 180_000;
const promoteTimeoutMs = 25_000;

/**
 * Starts the nodes so that the first of them leads. A new lease is for whoever comes first, so the others come when it leads;
 * after an earlier run the one with the most data leads first, and hands over. Resolves in any case, at the latest when
 * `signal` aborts: who leads then can be seen.
 */
export async function startFirstLeading(
  nodes: readonly NodeProcess[],
  isLeaseNew: boolean,
  signal: AbortSignal,
): Promise<void> {
  const [first, ...others] = nodes;
  if (!first) return;
  const untilMs = monotonicMs() + startTimeoutMs;
  const goesOn = (): boolean => !signal.aborted && first.isRunning && monotonicMs() < untilMs;
  first.start();
  if (isLeaseNew) {
    while (goesOn() && (await fetchStatus(first.plan.apiUrl))?.role !== 'primary') {
      await sleep(pollMs, signal);
    }
  }
  if (signal.aborted) return;
  for (const node of others) node.start();
  while (goesOn()) {
    const all = await Promise.all(nodes.map(({ plan }) => fetchStatus(plan.apiUrl)));
    const leading = leadingStatus(all);
    if (leading?.node === first.plan.name) return;
    // Not earlier: the release command may run.
    if (leading && all.every(isServing) && (await promote(first.plan.apiUrl))) return;
    await sleep(pollMs, signal);
  }
}

/** False when the node did not come to lead. */
async function promote(apiUrl: string): Promise<boolean> {
  try {
    const options = { method: 'POST', body: '{}', signal: AbortSignal.timeout(promoteTimeoutMs) };
    const answer = await fetch(`${apiUrl}/promote`, options);
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
