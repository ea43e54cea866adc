import type { CallOutcome } from './call.ts';

/** What callers on this node were told. `late`: it ran, and what it wrote is not where it should be yet. */
export const outcomes = ['done', 'failed', 'late', 'refused', 'unknown'] as const;
export type Outcome = (typeof outcomes)[number];

/** What the bus of a node has done since it started. */
export class BusFigures {
  readonly #calls = new Map<Outcome, number>();
  /** Messages of channels, once for each process or node that they went to, or should have gone to. */
  sent = 0;
  dropped = 0;
  /** Messages that came from a process or a node. */
  received = 0;

  ended(outcome: CallOutcome): void {
    const kind = outcomeOf(outcome);
    this.#calls.set(kind, this.calls(kind) + 1);
  }

  calls(outcome: Outcome): number {
    return this.#calls.get(outcome) ?? 0;
  }
}

function outcomeOf(outcome: CallOutcome): Outcome {
  if (outcome.kind === 'refused' || outcome.kind === 'unknown') return outcome.kind;
  const error = outcome.kind === 'done' ? outcome.error : undefined;
  if (!error) return 'done';
  return error.name === 'SkeinError' && error.code === 'WAIT_TIMEOUT' ? 'late' : 'failed';
}
