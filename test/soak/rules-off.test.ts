import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rule } from '../../src/base/failpoint.ts';
import { planAgainst } from '../faults/rule-off.ts';
import { runFaults } from '../faults/run-faults.ts';
import { skipWithout } from '../tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');
/** A run that has not failed by then has not noticed. */
const minutes = 1;

const noticed: Readonly<Record<Rule, RegExp>> = {
  'safe-position': /lacks \d+ acknowledged writes/,
  fencing: /committed .* in epoch \d+, \d+ ms after/,
  'chain-check': /all nodes to be in step|says that it has this position|lacks \d+ acknowledged writes/,
  'durable-response': /lacks \d+ writes that a door has confirmed/,
};

for (const [rule, message] of Object.entries(noticed) as [Rule, RegExp][]) {
  test(`a run of faults fails with the rule ${rule} switched off, and passes with it`, {
    skip,
  }, async (t) => {
    const plan = planAgainst(rule);
    await runFaults(t, { seed: 0, minutes: 0, plan });
    await assert.rejects(
      runFaults(t, { seed: 0, minutes, plan, environment: { SKEIN_TEST_DISABLE: rule } }),
      message,
    );
  });
}
