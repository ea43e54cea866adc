import { hostname } from 'node:os';
import { SkeinClientError } from './client-error.ts';
import type { DurabilityLevel } from './durable.ts';
import { LocalNode, type PrimaryPlace, type WaitOptions } from './local-node.ts';
import type { NodeEvent } from './node-events.ts';
import type { NodePlace } from './node-place.ts';
import { placeOf } from './place.ts';
import { formatSession } from './position-text.ts';

let node: LocalNode | undefined | null = null;

/** The node of this process, made at the first question; undefined for a process that no node runs. */
export function localNode(): LocalNode | undefined {
  if (node === null) {
    const place = placeOf(process.env);
    node = place && new LocalNode(place);
  }
  return node;
}

/**
 * Whether this node may write now. Answered from memory, but for the first time, which asks the node and waits for it. True
 * outside of Skein; false for a node that does not answer.
 */
export function isPrimary(): boolean {
  return localNode()?.role.isPrimary ?? true;
}

/** The node that leads; undefined while this one is not connected to it. Rejects with `NODE_UNREACHABLE`. */
export async function primary(): Promise<PrimaryPlace | undefined> {
  const local = localNode();
  return local ? local.primary() : { node: hostname(), url: '' };
}

/**
 * This node and all others that it knows: its primary, and those that it has a link with at this moment, by name. Rejects with
 * `NODE_UNREACHABLE`.
 */
export async function nodes(): Promise<NodePlace[]> {
  const local = localNode();
  return local ? local.nodes() : [{ node: hostname(), role: 'primary', isSelf: true }];
}

/**
 * The position that holds all that is committed in the database on this node now, as `TXID/checksum`. The name may be left out
 * where there is one database. Undefined outside of Skein. Rejects with `DATABASE_NOT_FOUND` and `DATABASE_AMBIGUOUS`.
 */
export async function position(database?: string): Promise<string | undefined> {
  return localNode()?.position(database);
}

/**
 * Resolves when this node has come so far. `position` is what `position()` or `durable()` gave anywhere, or the value of the
 * cookie `__txid` or the header `skein-position`. Rejects with `WAIT_TIMEOUT`, `POSITION_MISMATCH`, `POSITION_INVALID`,
 * `DATABASE_NOT_FOUND`, or the signal's reason.
 */
export async function waitFor(position: string, options: WaitOptions = {}): Promise<void> {
  await localNode()?.waitFor(position, options);
}

/**
 * Resolves when all that was committed on this node until now is held as `level` says (`auto`), with the position of all
 * databases as `waitFor` takes it; undefined outside of Skein. On the primary only. Rejects with `WAIT_TIMEOUT`, `NO_PRIMARY`
 * where the lead has changed meanwhile and nobody can tell, `NODE_UNREACHABLE`, or the signal's reason.
 */
export async function durable(
  level: DurabilityLevel = 'auto',
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const local = localNode();
  if (local === undefined) return undefined;
  const { timeoutMs = 5_000, signal } = options;
  signal?.throwIfAborted();
  const { written: txids, epoch, isTimedOut } = await local.durable.settle(level, { timeoutMs, signal });
  if (isTimedOut) {
    throw new SkeinClientError(
      'WAIT_TIMEOUT',
      `What was committed is not held as "${level}" asks after ${timeoutMs} ms. It may be later.`,
    );
  }
  return formatSession({ epoch, txids });
}

/**
 * What happens on this node, until the loop ends or the signal aborts. It connects again by itself, with a new `init` each time.
 * Outside of Skein there is the one `init`, of a primary.
 */
export async function* events(
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<NodeEvent, void, void> {
  const ended = new AbortController();
  const { signal = ended.signal } = options;
  const local = localNode();
  if (local) {
    yield* local.events(signal);
    return;
  }
  yield { type: 'init', data: { isPrimary: true } };
  if (signal.aborted) return;
  // Nothing else happens there; a timer keeps the process no longer than its own work does.
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
