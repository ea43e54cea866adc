import type { LocalNode } from './local-node.ts';
import type { Session } from './position-text.ts';

/**
 * Whether a reader may be answered here. `gone`: what it wrote is lost, but for what is `left`; only a primary can tell. `late`:
 * it is not here, and nobody can tell whether it will be.
 */
export type Passage =
  | { readonly kind: 'reached' }
  | { readonly kind: 'gone'; readonly left: Session }
  | { readonly kind: 'late' };

/** So long at most until there is another look at who leads. */
const sliceMs = 100;

/** Waits until this node has what a reader wrote elsewhere. Never rejects. */
export async function passReader(
  node: LocalNode,
  wanted: Session,
  waitMs: number,
  signal: AbortSignal,
): Promise<Passage> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    // What this process remembers of the role may be out of date, of all times while its node stands still.
    const found = node.role.isPrimary ? await ofPrimary(node, wanted) : undefined;
    if (found) return found;
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0 || signal.aborted) return { kind: 'late' };
    if (await node.reaches(wanted, Math.min(leftMs, sliceMs), signal)) return { kind: 'reached' };
  }
}

/** Undefined where the node does not lead for certain, or not on the session's chain. What is not there then was not there when the answer was given, nor anywhere. */
async function ofPrimary(node: LocalNode, wanted: Session): Promise<Passage | undefined> {
  const status = await node.status.ask();
  if (status?.role !== 'primary' || status.canWrite !== true) return undefined;
  const { chainEpoch = wanted.epoch } = status;
  if (chainEpoch < wanted.epoch) return undefined;
  const left = new Map<string, number>();
  for (const [name, txid] of wanted.txids) {
    const hex = status.databases?.[name]?.txid;
    if (hex !== undefined && Number.parseInt(hex, 16) >= txid) left.set(name, txid);
  }
  if (left.size === wanted.txids.size) return { kind: 'reached' };
  return { kind: 'gone', left: { epoch: chainEpoch, txids: left } };
}
