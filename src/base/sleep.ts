import { setTimeout as delay } from 'node:timers/promises';

/** Waits `ms`, or until the signal aborts; either way it resolves. Callers look at the signal themselves. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
