import { test } from 'node:test';
import { planOf } from '../faults/plan.ts';
import { runFaults } from '../faults/run-faults.ts';
import { SeededNumbers } from '../support/random.ts';
import { skipWithout } from '../tools.ts';

const seed = Number(process.env.SKEIN_TEST_SOAK_SEED ?? Math.floor(Math.random() * 1_000_000));
const minutes = Number(process.env.SKEIN_TEST_SOAK_MINUTES ?? 10);
const { lease } = planOf(seed, new SeededNumbers(seed));
const skip =
  skipWithout('python3') ||
  skipWithout('sqlite3') ||
  (lease === 'etcd' && skipWithout('etcd-server')) ||
  (lease === 'redis' && skipWithout('redis-server'));

test(
  `nothing that was acknowledged is lost, and nobody reads backwards, in ${minutes} minutes of faults`,
  {
    skip,
    timeout: (minutes + 5) * 60_000,
  },
  (t) => runFaults(t, { seed, minutes }),
);
