import type { Rule } from '../../src/base/failpoint.ts';
import type { Plan, Round } from './plan.ts';

const restMs = 1_000;

/** Cut off, the primary goes on for a moment; then it stands still until another leads. */
const lonelyPrimary: Round = {
  steps: [
    { afterMs: 500, fault: { kind: 'cut-node', target: 'primary', direction: 'both', forMs: 6_000 } },
    { afterMs: 600, fault: { kind: 'freeze-both', target: 'primary', forMs: 5_800 } },
  ],
  restMs: 6_500,
  disaster: undefined,
};

/** For each rule, what goes wrong without it, again and again. */
const rounds: Readonly<Record<Rule, Round>> = {
  // An empty node has the lease to itself.
  'safe-position': {
    steps: [],
    restMs,
    disaster: { kind: 'empty-first', target: 0, kills: true },
  },
  // The primary cannot renew, and another takes the lease.
  fencing: {
    steps: [{ afterMs: 500, fault: { kind: 'cut-store', target: 'primary', forMs: 6_000 } }],
    restMs: 6_500,
    disaster: undefined,
  },
  // The primary has transactions that nobody else has, and comes back to others that have gone on without them.
  'chain-check': lonelyPrimary,
  // The same: what the primary's door has answered meanwhile is at no other node.
  'durable-response': lonelyPrimary,
};

export function planAgainst(rule: Rule): Plan {
  return { lease: 'file', count: 3, round: () => rounds[rule] };
}
