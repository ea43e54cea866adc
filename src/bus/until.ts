import type { Replication } from '../node/replication.ts';

/** How soon a change of the node's role is noticed. */
const lookMs = 50;

/** Resolves to whether it came true before the signal aborted; asked at every progress, through changes of the role. */
export async function until(
  replication: () => Replication | undefined,
  isTrue: (current: Replication) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const check = () => {
    const current = replication();
    return current !== undefined && isTrue(current);
  };
  if (check()) return true;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let listened: Replication | undefined;
  let stopListening: (() => void) | undefined;
  const look = () => {
    const current = replication();
    if (current !== listened) {
      stopListening?.();
      listened = current;
      stopListening = current?.onProgress(() => check() && resolve(true));
    }
    if (check()) resolve(true);
  };
  const end = () => resolve(false);
  const timer = setInterval(look, lookMs);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  look();
  return promise.finally(() => {
    clearInterval(timer);
    signal.removeEventListener('abort', end);
    stopListening?.();
  });
}
