// The job worker, one in the whole cluster: keeps the visits per country up to date.

import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { isRefusedWrite, openDatabase } from './database.ts';

const pollMs = 200;
const visitsPerRoundMax = 1000;
/** With visits all the time, a line for each round would be all that one sees. */
const reportPauseMs = 10_000;
let unreported = 0;
let reportedMs = -reportPauseMs;

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => stopping.abort());
}

const database = await openDatabase({ timeoutMs: 1000, signal: stopping.signal }).catch((error) => {
  if (!stopping.signal.aborted) throw error;
});
if (database) {
  console.log('counting visits per country');
  await work(database);
  database.close();
}
console.log('worker stopped');

async function work(database: DatabaseSync): Promise<void> {
  const version = database.prepare('PRAGMA data_version');
  let seen: unknown;
  while (!stopping.signal.aborted) {
    // Changes only when another connection has committed: most rounds end here, without a read of any table.
    const current = version.get()?.data_version;
    if (current !== seen && countAllNew(database)) seen = current;
    await delay(pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
  }
}

/** False when a lock was not to be had: the next round tries again. */
function countAllNew(database: DatabaseSync): boolean {
  try {
    let handled = visitsPerRoundMax;
    while (handled === visitsPerRoundMax && !stopping.signal.aborted) {
      handled = countNewVisits(database);
      unreported += handled;
    }
    report();
    return true;
  } catch (error) {
    if (!isRefusedWrite(error)) throw error;
    console.log('the database accepts no write now; trying again');
    return false;
  }
}

function report(): void {
  if (unreported === 0 || performance.now() - reportedMs < reportPauseMs) return;
  console.log(`counted ${unreported} ${unreported === 1 ? 'visit' : 'visits'}`);
  unreported = 0;
  reportedMs = performance.now();
}

/** Adds the visits since the last one counted; both move in one transaction, so none counts twice. */
function countNewVisits(database: DatabaseSync): number {
  const last = database.prepare('SELECT last_visit_id AS id FROM counted').get() as { id: number };
  const top = database.prepare('SELECT max(id) AS id FROM visits').get() as { id: number | null };
  const until = Math.min(top.id ?? 0, last.id + visitsPerRoundMax);
  if (until <= last.id) return 0;
  database.exec('BEGIN IMMEDIATE');
  try {
    const added = database.prepare(
      `INSERT INTO visits_by_country (country, visits)
         SELECT country, count(*) FROM visits JOIN places ON places.id = place_id
         WHERE visits.id > ? AND visits.id <= ? GROUP BY country
         ON CONFLICT (country) DO UPDATE SET visits = visits + excluded.visits`,
    );
    added.run(last.id, until);
    database.prepare('UPDATE counted SET last_visit_id = ?').run(until);
    database.exec('COMMIT');
  } finally {
    if (database.isTransaction) database.exec('ROLLBACK');
  }
  return until - last.id;
}
