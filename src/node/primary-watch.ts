import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';

export type PrimaryPlace = { readonly node: string; readonly url: string; readonly isHere: boolean };

export type PrimaryWatchParts = {
  readonly node: string;
  readonly url: string;
  role(): 'primary' | 'replica' | undefined;
  /** The primary that this node is connected to. */
  connected(): { readonly node: string; readonly url: string } | undefined;
  /** Whom the lease names, as far as this node has heard. */
  holder(): { readonly node: string; readonly url: string } | undefined;
};

const pollMs = 10;

/** Where the primary is, for those who have something for it. */
export class PrimaryWatch {
  readonly #parts: PrimaryWatchParts;

  constructor(parts: PrimaryWatchParts) {
    this.#parts = parts;
  }

  /** Undefined while nobody is known to lead. One that is named here may be gone by now. */
  current(): PrimaryPlace | undefined {
    const { node, url, role, connected, holder } = this.#parts;
    if (role() === 'primary') return { node, url, isHere: true };
    const other = connected() ?? holder();
    // This node's own name in the lease, without the role: it is about to lead.
    if (!other || other.node === node) return undefined;
    return { node: other.node, url: other.url, isHere: false };
  }

  /** Undefined when there is none after `timeoutMs`, or when `signal` aborts. */
  async wait(timeoutMs: number, signal?: AbortSignal): Promise<PrimaryPlace | undefined> {
    const untilMs = monotonicMs() + timeoutMs;
    for (;;) {
      const place = this.current();
      if (place || monotonicMs() >= untilMs || signal?.aborted) return place;
      await sleep(pollMs, signal);
    }
  }
}
