/**
 * Reads a ledger in a loop, and checks in every snapshot what holds in all of them. Ends with its input.
 * Argument: database. Prints a line of JSON for the first read that is wrong, and one with the number of reads at the end.
 */
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';

const database = new DatabaseSync(process.argv[2], { readOnly: true, timeout: 0 });
const counter = database.prepare('SELECT value FROM counter');
const sums = database.prepare(
  'SELECT (SELECT sum(balance) FROM checking) + (SELECT sum(balance) FROM savings) AS total, (SELECT coalesce(max(id), 0) FROM entry) AS entries',
);
let reads = 0;
let last = -1;
let stopped = false;
process.stdin.on('end', () => {
  stopped = true;
});
process.stdin.resume();

function look(): string | undefined {
  database.exec('BEGIN');
  const first = Number(counter.get()?.value);
  const row = sums.get();
  const again = Number(counter.get()?.value);
  database.exec('COMMIT');
  if (row?.total !== 0) return `torn: the total is ${row?.total}`;
  if (row.entries !== first) return `torn: counter ${first}, entries ${row.entries}`;
  if (again !== first) return `moved within a snapshot: ${first}, then ${again}`;
  if (first < last) return `step back: ${last}, then ${first}`;
  last = first;
  return undefined;
}

while (!stopped) {
  let wrong: string | undefined;
  try {
    wrong = look();
  } catch (error) {
    wrong = `error: ${String(error)}`;
  }
  if (wrong !== undefined) {
    console.log(JSON.stringify({ wrong, reads }));
    process.exit(1);
  }
  reads += 1;
  if (reads % 20 === 0) await nextTurn();
}
console.log(JSON.stringify({ reads, last }));
