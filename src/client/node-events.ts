import { setTimeout as delay } from 'node:timers/promises';
import type { NodeApi } from './node-api.ts';

const retryFirstMs = 50;
const retryMaxMs = 2_000;
const lineBytesMax = 64 * 1024;

/** Who leads, as far as the local node knows. */
export type Leadership = {
  readonly isPrimary: boolean;
  /** The primary's node name; absent on the primary, and when this node is not connected to one. */
  readonly hostname?: string;
};

export type NodeEvent =
  /** The first of every connection to the node. What happened before it, or between two, is not told. */
  | { readonly type: 'init'; readonly data: Leadership }
  | { readonly type: 'primaryChange'; readonly data: Leadership }
  | {
      readonly type: 'tx';
      readonly db: string;
      readonly data: {
        readonly txID: string;
        readonly postApplyChecksum: string;
        readonly pageSize: number;
        /** Size of the database in pages. */
        readonly commit: number;
        readonly timestamp: string;
      };
    }
  /** The node keeps a state that the primary did not have: see docs/lost.md. */
  | {
      readonly type: 'lost';
      readonly db: string;
      readonly data: {
        readonly id: string;
        readonly reason: string;
        readonly from: string;
        readonly to: string;
        readonly epoch: number;
        readonly transactions: number;
        readonly time: string;
      };
    };

/**
 * What happens on the local node, until the signal aborts. A connection that ends is made again, as often as it takes, with a
 * new `init` each time.
 */
export async function* nodeEvents(api: NodeApi, signal: AbortSignal): AsyncGenerator<NodeEvent, void, void> {
  let retryMs = retryFirstMs;
  while (!signal.aborted) {
    const connection = new AbortController();
    const end = () => connection.abort();
    signal.addEventListener('abort', end, { once: true });
    try {
      const answer = await api.stream('/events', connection.signal);
      answer.setEncoding('utf8');
      let rest = '';
      for await (const chunk of answer) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > lineBytesMax) break;
        for (const line of lines) yield JSON.parse(line) as NodeEvent;
        retryMs = retryFirstMs;
      }
    } catch {
      // It is tried again, whatever it was.
    } finally {
      signal.removeEventListener('abort', end);
      connection.abort();
    }
    await delay(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
    retryMs = Math.min(retryMaxMs, retryMs * 2);
  }
}
