import type { NodeStatus } from './fresh-status.ts';
import type { LocalNode } from './local-node.ts';

/** A request that another node has got, and whose answer is not there in full. */
export type CallUnderWay = {
  /** Something of it came or went. */
  heard(): void;
  /** Its silence is this side's own: the client does not read. */
  paused(): void;
  over(): void;
};

type Call = {
  /** Who has got it; undefined while that is not known. */
  primary: string | undefined;
  /** What it led by when the node was first asked. */
  epoch: number | undefined;
  heardMs: number;
  /** Since when it is not the primary any more, or nobody can say. */
  lostMs: number | undefined;
  /** Another has been named: it does not come back. */
  isSuperseded: boolean;
  readonly end: (reason: string) => void;
};

/**
 * Ends what was sent to a node that is silent and, for as long again, not known to be the primary: by the node's events, and
 * where those do not come either, by asking. A slow answer of the primary is waited for.
 */
export class SilenceWatch {
  readonly #node: LocalNode;
  readonly #silenceMs: number;
  readonly #calls = new Set<Call>();
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;

  constructor(node: LocalNode, silenceMs: number) {
    this.#node = node;
    this.#silenceMs = silenceMs;
    node.role.onEvent(({ type }) => {
      if (type !== 'tx') this.#named(node.role.primary);
    });
  }

  /** `end` is called once at most. */
  begin(end: (reason: string) => void): CallUnderWay {
    const { primary } = this.#node.role;
    const heardMs = performance.now();
    const call: Call = { primary, epoch: undefined, heardMs, lostMs: undefined, isSuperseded: false, end };
    this.#calls.add(call);
    this.#timer ??= setInterval(() => void this.#look(), this.#silenceMs / 5).unref();
    return {
      heard: () => {
        call.heardMs = performance.now();
      },
      paused: () => {
        call.heardMs = Number.POSITIVE_INFINITY;
      },
      over: () => this.#forget(call),
    };
  }

  #forget(call: Call): void {
    this.#calls.delete(call);
    if (this.#calls.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #named(primary: string | undefined): void {
    if (primary === undefined) return;
    for (const call of this.#calls) {
      call.primary ??= primary;
      if (call.primary === primary) continue;
      call.isSuperseded = true;
      call.lostMs ??= performance.now();
    }
  }

  async #look(): Promise<void> {
    const silent = [...this.#calls].filter(({ heardMs }) => this.#isLong(heardMs));
    if (silent.length === 0 || this.#isAsking) return;
    this.#isAsking = true;
    const status = silent.some(({ isSuperseded }) => !isSuperseded)
      ? await this.#node.status.ask()
      : undefined;
    this.#isAsking = false;
    for (const call of silent) {
      if (!call.isSuperseded) take(call, status);
      if (!this.#calls.has(call) || !this.#isLong(call.heardMs) || !this.#isLong(call.lostMs)) continue;
      this.#forget(call);
      call.end(`${call.primary ?? 'whoever led'} is silent, and not known to lead any more`);
    }
  }

  #isLong(sinceMs: number | undefined): boolean {
    return sinceMs !== undefined && performance.now() - sinceMs >= this.#silenceMs;
  }
}

/** What the node says of the primary. The link to it may have broken for a moment. */
function take(call: Call, status: NodeStatus | undefined): void {
  const named = status?.primary?.node;
  call.primary ??= named;
  const isSame = named !== undefined && named === call.primary;
  if (isSame) call.epoch ??= status?.epoch;
  if (isSame && call.epoch === status?.epoch) call.lostMs = undefined;
  else call.lostMs ??= performance.now();
}
