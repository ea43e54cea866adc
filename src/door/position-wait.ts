import type { Replication } from '../node/replication.ts';

const waitersMax = 10_000;
let waiters = 0;

/** Whether one more may wait. */
export function canWait(): boolean {
  return waiters < waitersMax;
}

/**
 * Resolves with true as soon as `isTrue` says so, which is asked at each change of a position; with false after `timeoutMs`,
 * when the role of the node changes, or when `signal` aborts.
 */
export function waitForProgress(
  replication: Replication,
  isTrue: () => boolean,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (isTrue()) return Promise.resolve(true);
  if (timeoutMs <= 0 || signal.aborted || !canWait()) return Promise.resolve(false);
  waiters += 1;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const stopListening = replication.onProgress(() => {
    if (isTrue()) resolve(true);
    else if (replication.isOver) resolve(false);
  });
  const giveUp = () => resolve(false);
  const timer = setTimeout(giveUp, timeoutMs);
  signal.addEventListener('abort', giveUp, { once: true });
  return promise.finally(() => {
    waiters -= 1;
    clearTimeout(timer);
    stopListening();
    signal.removeEventListener('abort', giveUp);
  });
}
