/**
 * Writes to a ledger as fast as it can, one line with the number of its last commit after each. Ends with its input.
 * Arguments: database, name of this writer, pause after each commit in milliseconds.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';

const [path, name, pauseMs] = process.argv.slice(2);
const database = new DatabaseSync(path, { timeout: 30_000 });
database.exec('PRAGMA synchronous=NORMAL');
const last = database
  .prepare('SELECT coalesce(max(number), 0) AS last FROM entry WHERE writer = ?')
  .get(name);
let number = Number(last?.last);
const take = database.prepare('UPDATE checking SET balance = balance - ? WHERE id = ?');
const give = database.prepare('UPDATE savings SET balance = balance + ? WHERE id = ?');
const count = database.prepare('UPDATE counter SET value = value + 1');
const enter = database.prepare('INSERT INTO entry (writer, number, note) VALUES (?, ?, ?)');

let stopped = false;
process.stdin.on('end', () => {
  stopped = true;
});
process.stdin.resume();

while (!stopped) {
  number += 1;
  const amount = randomInt(1, 101);
  database.exec('BEGIN IMMEDIATE');
  take.run(amount, randomInt(1, 51));
  give.run(amount, randomInt(1, 51));
  count.run();
  enter.run(name, number, randomBytes(randomInt(10, 401)));
  database.exec('COMMIT');
  writeSync(1, `${number}\n`);
  if (Number(pauseMs) > 0) await delay(Number(pauseMs));
  else await nextTurn();
}
database.close();
