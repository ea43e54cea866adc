import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { guard } from 'skein/client';

/** What somebody wrote, as it is told to everybody. */
export type Message = {
  /** Its place in the conversation, given by the primary. */
  readonly number: number;
  /** Made in the page, so that a message that is sent again is known. */
  readonly id: string;
  readonly person: string;
  readonly name: string;
  /** Where its author was. */
  readonly region: string;
  readonly text: string;
  /** When the author pressed Enter, by the clock of the author's node. */
  readonly sentMs: number;
  /** The region that led then. */
  readonly writtenIn: string;
};

export type NewMessage = Omit<Message, 'number' | 'writtenIn'>;

const databasePath = join(process.env.SKEIN_DIR ?? '.', 'chat.db');
const columns = 'number, id, person, name, region, text, sent_ms AS sentMs, written_in AS writtenIn';

/** Opens the file, and makes it where there is none: for the release command. */
export function createDatabase(): DatabaseSync {
  const database = new DatabaseSync(databasePath, { timeout: 5000 });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  return database;
}

/** All that was said, in the file of this node. */
export class Messages {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #byId: StatementSync;
  readonly #before: StatementSync;
  readonly #after: StatementSync;
  readonly #last: StatementSync;

  constructor() {
    this.#database = guard(createDatabase());
    const prepare = (sql: string) => this.#database.prepare(sql);
    this.#insert = prepare(
      `INSERT INTO messages (id, person, name, region, text, sent_ms, written_in) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO NOTHING`,
    );
    this.#byId = prepare(`SELECT ${columns} FROM messages WHERE id = ?`);
    this.#before = prepare(`SELECT ${columns} FROM messages WHERE number < ? ORDER BY number DESC LIMIT ?`);
    this.#after = prepare(`SELECT ${columns} FROM messages WHERE number > ? ORDER BY number LIMIT ?`);
    this.#last = prepare('SELECT coalesce(max(number), 0) AS number FROM messages');
  }

  /** On the primary. A message that is there already stays as it is, so that one that is sent twice is written once. */
  write(message: NewMessage, writtenIn: string): Message {
    const { id, person, name, region, text, sentMs } = message;
    this.#insert.run(id, person, name, region, text, sentMs, writtenIn);
    return this.#byId.get(id) as unknown as Message;
  }

  /** The newest ones with a lesser number, the oldest of them first. */
  before(number: number, limit: number): Message[] {
    return (this.#before.all(number, limit) as unknown as Message[]).reverse();
  }

  /** The oldest ones with a higher number. */
  after(number: number, limit: number): Message[] {
    return this.#after.all(number, limit) as unknown as Message[];
  }

  get lastNumber(): number {
    return Number(this.#last.get()?.number);
  }

  close(): void {
    this.#database.close();
  }
}
