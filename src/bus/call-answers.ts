import { monotonicMs } from '../base/clock.ts';
import type { CallOutcome } from './call.ts';
import type { CallRunner } from './call-runner.ts';
import type { FromPeer } from './frames.ts';
import type { PeerLink } from './peer-link.ts';

/** Outcomes that are kept, of all callers together, should they be asked for; the oldest go first. */
const keptMax = 10_000;
const keptBytesMax = 8 << 20;
/** What one takes beside its result, about. */
const outcomeBytes = 500;
/** Runs of callers' nodes that are told apart. */
const callersMax = 256;
/** Longer than any call lasts: nobody asks for one of this age. */
const callerIdleMs = 1_200_000;

/** A call of another node. */
type Taken = {
  readonly id: number;
  /** Where its answer goes: the link over which it was asked for last. */
  link: PeerLink;
  readonly deadlineMs: number;
  readonly ending: AbortController;
  /** Whether it was given to a process. */
  hasBegun: boolean;
  outcome: CallOutcome | undefined;
  /** While nobody is there who could cancel it. */
  timer: NodeJS.Timeout | undefined;
};

/** What one run of another node has asked of this one. Its ids rise. */
type Caller = {
  readonly calls: Map<number, Taken>;
  /** Of ids up to here, those that are not in `calls` may have been. */
  forgottenTo: number;
  /** Whether a call that is not in `calls`, nor that old, has certainly not begun here. */
  readonly isComplete: boolean;
  usedMs: number;
};

/**
 * Runs calls of other nodes, and remembers how they ended, for callers whose link was lost before the answer came. What is
 * first heard of a call decides for good: it is run when the call itself comes first, and never when a question for it does. So
 * it may be said of a call that is not known here that it has not begun, and be made again.
 */
export class CallAnswers {
  readonly #runner: CallRunner;
  /** By the run of the caller's node. */
  readonly #callers = new Map<string, Caller>();
  /** Those that have ended, the oldest first. */
  readonly #kept = new Map<Taken, Caller>();
  #keptBytes = 0;
  #hasDroppedCallers = false;

  constructor(runner: CallRunner) {
    this.#runner = runner;
  }

  /** Rejects where the node itself is at fault; the caller is told that the outcome is unknown then. */
  async answer(link: PeerLink, frame: Extract<FromPeer, { t: 'call' }>, args: string): Promise<void> {
    const { id, name, leftMs, idempotent, nested, durability } = frame;
    const caller = this.#callerOf(link);
    const known = caller.calls.get(id);
    if (known || id <= caller.forgottenTo) {
      // Over a link that was thought to be lost: its caller has asked already, and makes it anew.
      if (!known) send(link, id, { kind: 'again' });
      else if (known.outcome) send(link, id, known.outcome);
      return;
    }
    const taken = takenOf(id, link, leftMs);
    caller.calls.set(id, taken);
    const call = { name, args, idempotent, nested, durability, deadlineMs: taken.deadlineMs };
    let outcome: CallOutcome = { kind: 'unknown' };
    try {
      outcome = await this.#runner.run(call, undefined, taken.ending.signal, () => {
        taken.hasBegun = true;
      });
    } finally {
      clearTimeout(taken.timer);
      this.#keep(caller, taken, outcome);
      send(taken.link, id, outcome);
    }
  }

  /** What has become of a call that was sent over a link which is lost. */
  inquire(link: PeerLink, { id, leftMs }: Extract<FromPeer, { t: 'inquire' }>): void {
    const caller = this.#callerOf(link);
    const taken = caller.calls.get(id);
    if (taken) {
      taken.link = link;
      clearTimeout(taken.timer);
      if (taken.outcome) send(link, id, taken.outcome);
    } else if (id <= caller.forgottenTo || !caller.isComplete) {
      send(link, id, { kind: 'unknown' });
    } else {
      // It must not begin any more, should it still come.
      const refused = takenOf(id, link, leftMs);
      caller.calls.set(id, refused);
      this.#keep(caller, refused, { kind: 'again' });
      send(link, id, { kind: 'again' });
    }
  }

  cancel(link: PeerLink, id: number): void {
    this.#callerOf(link).calls.get(id)?.ending.abort();
  }

  /** What has begun goes on, and its caller may ask for it; what has not does not begin any more. */
  lost(link: PeerLink): void {
    for (const { calls } of this.#callers.values()) {
      for (const taken of calls.values()) {
        if (taken.link !== link || taken.outcome) continue;
        const { ending, deadlineMs } = taken;
        if (!taken.hasBegun) ending.abort();
        else taken.timer = setTimeout(() => ending.abort(), deadlineMs - monotonicMs()).unref();
      }
    }
  }

  #callerOf({ peer: { run } }: PeerLink): Caller {
    let caller = this.#callers.get(run);
    const usedMs = monotonicMs();
    if (!caller) {
      this.#dropCallers(usedMs);
      const isComplete = !this.#hasDroppedCallers;
      caller = { calls: new Map(), forgottenTo: -1, isComplete, usedMs };
      this.#callers.set(run, caller);
    }
    caller.usedMs = usedMs;
    return caller;
  }

  #dropCallers(nowMs: number): void {
    const byAge = [...this.#callers].sort(([, one], [, other]) => one.usedMs - other.usedMs);
    for (const [run, caller] of byAge) {
      const isOver = nowMs - caller.usedMs > callerIdleMs;
      if (!isOver && this.#callers.size < callersMax) return;
      // One of those that come later may be the same once more.
      if (!isOver) this.#hasDroppedCallers = true;
      this.#callers.delete(run);
    }
  }

  #keep(caller: Caller, taken: Taken, outcome: CallOutcome): void {
    taken.outcome = outcome;
    this.#kept.set(taken, caller);
    this.#keptBytes += bytesOf(taken);
    const nowMs = monotonicMs();
    for (const [oldest, itsCaller] of this.#kept) {
      const isWithinBounds = this.#kept.size <= keptMax && this.#keptBytes <= keptBytesMax;
      if (isWithinBounds && oldest.deadlineMs > nowMs) return;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytesOf(oldest);
      itsCaller.calls.delete(oldest.id);
      itsCaller.forgottenTo = Math.max(itsCaller.forgottenTo, oldest.id);
    }
  }
}

function takenOf(id: number, link: PeerLink, leftMs: number): Taken {
  const deadlineMs = monotonicMs() + leftMs;
  const ending = new AbortController();
  return { id, link, deadlineMs, ending, hasBegun: false, outcome: undefined, timer: undefined };
}

function bytesOf({ outcome }: Taken): number {
  return outcomeBytes + (outcome?.kind === 'done' ? (outcome.text?.length ?? 0) : 0);
}

function send(link: PeerLink, id: number, outcome: CallOutcome): void {
  const { kind } = outcome;
  if (kind === 'done') {
    const { text, error, durable, positions } = outcome;
    link.send({ t: 'outcome', id, kind, durable, positions, ...(error ? { error } : {}) }, text);
  } else {
    link.send({ t: 'outcome', id, kind, ...(kind === 'refused' ? { error: outcome.error } : {}) });
  }
}
