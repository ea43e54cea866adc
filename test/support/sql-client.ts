/**
 * One SQLite connection that another process drives: a line of JSON {"sql", "parameters"} in, {"rows"} or {"error"} out.
 * Arguments: database, busy timeout in milliseconds.
 */

import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';

const names: Readonly<Record<number, string>> = {
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
};
const database = new DatabaseSync(process.argv[2], { timeout: Number(process.argv[3]) });

function answer(sql: string, parameters: (string | number | null)[]): object {
  try {
    return {
      rows: database
        .prepare(sql)
        .all(...parameters)
        .map((row) => Object.values(row)),
    };
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0;
    return { error: names[code & 0xff] ?? `errcode ${code}`, message: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { sql, parameters } = JSON.parse(line);
  console.log(JSON.stringify(answer(sql, parameters)));
}
database.close();
