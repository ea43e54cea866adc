import { monotonicMs } from '../base/clock.ts';
import type { Replication } from '../node/replication.ts';
import type { CallOutcome } from './call.ts';
import type { CallRunner } from './call-runner.ts';
import type { FromPeer } from './frames.ts';
import type { PeerLink } from './peer-link.ts';

/** Outcomes that are kept, of all callers together, should they be asked for; the oldest go first. */
const keptMax = 10_000;
const keptBytesMax = 8 << 20;
/** What one takes beside its texts, and each position in it, about. */
const outcomeBytes = 500;
const positionBytes = 60;
/** Runs of callers' nodes that are told apart. */
const callersMax = 256;
/** Longer than any call lasts: nobody asks for one of this age. */
const callerIdleMs = 1_200_000;

type Done = Extract<CallOutcome, { kind: 'done' }>;

/** A call of another node. */
type Taken = {
  readonly id: number;
  /** Where its answer goes: the link over which it was asked for last. */
  link: PeerLink;
  readonly deadlineMs: number;
  readonly ending: AbortController;
  /** Since it was given to a process: the lead in which that was. Until its outcome cannot change any more. */
  lead: Replication | undefined;
  outcome: CallOutcome | undefined;
  /** Of the outcome, once it is kept. */
  bytes: number;
  /** Asked for while this node could not tell whether what it wrote is lost. */
  isAwaited: boolean;
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
      else this.#tell(known);
      return;
    }
    const taken = takenOf(id, link, leftMs);
    caller.calls.set(id, taken);
    const call = { name, args, idempotent, nested, durability, deadlineMs: taken.deadlineMs };
    let outcome: CallOutcome = { kind: 'unknown' };
    try {
      outcome = await this.#runner.run(call, undefined, taken.ending.signal, (lead) => {
        taken.lead = lead;
      });
    } finally {
      clearTimeout(taken.timer);
      if (idempotent) {
        // What may run twice is made again, and not asked for.
        caller.calls.delete(id);
        taken.outcome = outcome;
        send(taken.link, id, this.#settle(taken) ?? { kind: 'unknown' });
      } else {
        this.#keep(caller, taken, outcome);
        this.#tell(taken);
      }
    }
  }

  /** What has become of a call that was sent over a link which is lost. */
  inquire(link: PeerLink, { id, leftMs }: Extract<FromPeer, { t: 'inquire' }>): void {
    const caller = this.#callerOf(link);
    const taken = caller.calls.get(id);
    if (taken) {
      taken.link = link;
      clearTimeout(taken.timer);
      this.#tell(taken);
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
        if (!taken.lead) ending.abort();
        else taken.timer = setTimeout(() => ending.abort(), deadlineMs - monotonicMs()).unref();
      }
    }
  }

  /** Whether this node leads, or may write, has changed: what hung on that may be told now. */
  leadChanged(): void {
    for (const taken of this.#kept.keys()) {
      this.#settle(taken);
      if (taken.isAwaited) this.#tell(taken);
    }
  }

  /** Tells how it ended, as that stands by now. What still runs is told at its end. */
  #tell(taken: Taken): void {
    const outcome = this.#settle(taken);
    if (!taken.outcome) return;
    taken.isAwaited = outcome === undefined;
    if (outcome) send(taken.link, taken.id, outcome);
  }

  #settle(taken: Taken): CallOutcome | undefined {
    const { outcome, lead } = taken;
    if (!outcome) return undefined;
    const standing = this.#runner.standing(outcome, lead);
    if (!lead?.isOver) return standing;
    // It stays so, and what has ended is not kept in memory for it.
    taken.lead = undefined;
    taken.outcome = standing;
    return standing;
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
    taken.bytes = bytesOf(outcome);
    if (outcome.kind !== 'done' || outcome.durable) taken.lead = undefined;
    this.#kept.set(taken, caller);
    this.#keptBytes += taken.bytes;
    const nowMs = monotonicMs();
    for (const [oldest, itsCaller] of this.#kept) {
      const isWithinBounds = this.#kept.size <= keptMax && this.#keptBytes <= keptBytesMax;
      if (isWithinBounds && oldest.deadlineMs > nowMs) return;
      this.#kept.delete(oldest);
      this.#keptBytes -= oldest.bytes;
      itsCaller.calls.delete(oldest.id);
      itsCaller.forgottenTo = Math.max(itsCaller.forgottenTo, oldest.id);
      if (oldest.isAwaited) send(oldest.link, oldest.id, { kind: 'unknown' });
    }
  }
}

function takenOf(id: number, link: PeerLink, leftMs: number): Taken {
  const deadlineMs = monotonicMs() + leftMs;
  const ending = new AbortController();
  const nothing = { lead: undefined, outcome: undefined, bytes: 0, isAwaited: false, timer: undefined };
  return { id, link, deadlineMs, ending, ...nothing };
}

function bytesOf(outcome: CallOutcome): number {
  const { text = '', error, positions = {} } = outcome as Partial<Done>;
  let bytes = outcomeBytes + text.length;
  for (const part of Object.values(error ?? {})) bytes += part.length;
  for (const [name, position] of Object.entries(positions))
    bytes += positionBytes + name.length + position.length;
  return bytes;
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
