import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { sqlite3 } from './checks.ts';
import { type Language, Program } from './program.ts';
import { waitFor } from './wait-for.ts';

const schema = `
  PRAGMA journal_mode=WAL;
  CREATE TABLE checking (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE savings (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE counter (value INTEGER NOT NULL);
  CREATE TABLE entry (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL, note BLOB NOT NULL);
  CREATE UNIQUE INDEX entry_of_writer ON entry (writer, number);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO checking SELECT i, 0 FROM n;
  INSERT INTO savings SELECT id, 0 FROM checking;
  INSERT INTO counter VALUES (0);
`;

/** Makes the tables that writers and readers share. In every state: both sums are 0 together, and the counter is the number of entries. */
export function createLedger(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(schema);
  database.close();
}

/** Commits to a ledger in a process of its own, and tells how far it has come. */
export class LedgerWriter {
  readonly name: string;
  readonly #program: Program;
  /** The number of its last entry that SQLite has confirmed. */
  confirmed = 0;

  constructor(t: TestContext, language: Language, path: string, name: string, pauseMs = 0) {
    this.name = name;
    this.#program = new Program(t, language, 'ledger-writer', [path, name, String(pauseMs)], (line) => {
      this.confirmed = Number(line);
    });
  }

  /** Waits until it has committed `count` more. */
  async commits(count: number): Promise<void> {
    const target = this.confirmed + count;
    let code: number | null | undefined;
    void this.#program.ended.then((value) => {
      code = value;
    });
    await waitFor(
      `writer ${this.name} to commit ${count} more`,
      () => {
        if (code !== undefined) throw new Error(`writer ${this.name} ended\n${this.#program.complaints}`);
        return this.confirmed >= target;
      },
      { state: () => `it is at ${this.confirmed}\n${this.#program.complaints}` },
    );
  }

  stop(): Promise<void> {
    return this.#program.finish();
  }

  kill(): Promise<void> {
    return this.#program.kill();
  }
}

/** Checks every snapshot that it can get of a ledger, in a process of its own. */
export class LedgerReader {
  readonly #program: Program;
  #result: { reads: number; last?: number; wrong?: string } | undefined;

  constructor(t: TestContext, language: Language, path: string) {
    this.#program = new Program(t, language, 'ledger-reader', [path], (line) => {
      this.#result = JSON.parse(line);
    });
  }

  /** Ends it, and returns how many snapshots it read. Rejects when one of them was wrong. */
  async stop(): Promise<number> {
    await this.#program.finish().catch((error: unknown) => {
      if (!this.#result) throw error;
    });
    assert.equal(
      this.#result?.wrong,
      undefined,
      `after ${this.#result?.reads} reads by ${this.#program.label}`,
    );
    return this.#result?.reads ?? 0;
  }
}

/** Checks that exactly the entries that were confirmed are in the file; with `killed`, the one under way may be too. */
export async function assertNothingLost(
  path: string,
  writers: readonly LedgerWriter[],
  killed = false,
): Promise<void> {
  const rows = await sqlite3(path, 'SELECT writer, count(*), max(number) FROM entry GROUP BY writer');
  const byWriter = new Map(
    rows
      .split('\n')
      .filter((row) => row !== '')
      .map((row) => {
        const [writer, count, last] = row.split('|');
        return [writer, { count: Number(count), last: Number(last) }] as const;
      }),
  );
  for (const { name, confirmed } of writers) {
    const { count, last } = byWriter.get(name) ?? { count: 0, last: 0 };
    assert.equal(count, last, `${path}: entries of ${name} without a gap`);
    const most = killed ? confirmed + 1 : confirmed;
    assert.ok(
      last >= confirmed && last <= most,
      `${path}: ${name} confirmed ${confirmed}, the file holds ${last}`,
    );
  }
}
