import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 15;

/**
 * Asks again and again until the answer is neither undefined nor false. Rejects after `timeoutMs` with what was waited
 * for and what `state` says then.
 */
export async function waitFor<Value>(
  what: string,
  ask: () => Promise<Value | undefined | false> | Value | undefined | false,
  options: { timeoutMs?: number; state?: () => string } = {},
): Promise<Value> {
  const { timeoutMs = 20_000, state } = options;
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadlineMs) {
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}${state ? `\n${state()}` : ''}`);
    }
    await delay(pollMs);
  }
}
