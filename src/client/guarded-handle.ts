import { requestScope, tellRefused } from './request-scope.ts';
import type { Role } from './role.ts';

/** What `node:sqlite` and `better-sqlite3` have in common, and what tells them apart. */
export type SqliteHandle = {
  prepare(sql: string, ...rest: unknown[]): SqliteStatement;
  exec(sql: string): unknown;
  /** Of better-sqlite3. */
  pragma?(text: string, ...rest: unknown[]): unknown;
  transaction?(run: (...args: unknown[]) => unknown): Transaction;
  /** Of better-sqlite3 whether it is, of node:sqlite what opens it. */
  readonly open?: unknown;
  /** Of node:sqlite. */
  readonly isOpen?: boolean;
};
type SqliteStatement = Record<string, unknown>;
type Call = (...args: unknown[]) => unknown;
type Transaction = Call & Record<TransactionKind, Call>;
type TransactionKind = (typeof transactionKinds)[number];

const transactionKinds = ['default', 'deferred', 'immediate', 'exclusive'] as const;
const statementMethods = ['run', 'get', 'all', 'iterate'] as const;

/** SQLite waits for a lock with the thread that waits; in between there is a look at whether the lead has moved. */
const sliceMs = 25;
const pauseMs = 2;
const pause = new Int32Array(new SharedArrayBuffer(4));
/** A node needs the lock for itself now and then, and for longer while it hands the lead over. */
const timeoutLeastMs = 2_000;
/** A function of that name in a query counts too, which costs a wait that is short. */
const writingPattern = /\b(?:insert|update|delete|replace|create|drop|alter|reindex|vacuum|commit|end)\b/i;
const timeoutPattern = /\bbusy_timeout\s*[=(]\s*'?(\d+)/i;
const sqliteBusy = 5;
const sqliteReadOnly = 8;

/** One connection to a database, whose `query_only` follows the node's role. */
export class GuardedHandle {
  /** Weak: the role's listeners must not keep a connection that the app has dropped. */
  readonly #database: WeakRef<SqliteHandle>;
  readonly #exec: (sql: string) => unknown;
  readonly #role: Role;
  #isReadOnly = false;
  /** What the app has set: how long it waits for a lock. */
  #timeoutMs = 0;

  constructor(database: SqliteHandle, role: Role) {
    this.#database = new WeakRef(database);
    this.#role = role;
    const exec = database.exec;
    this.#exec = (sql) => {
      const handle = this.#database.deref();
      return handle && exec.call(handle, sql);
    };
    this.#begin(database);
    this.#wrap(database);
  }

  /** Also when it was closed and is opened again: SQLite has forgotten what was set then. */
  #begin(database: SqliteHandle): void {
    this.#isReadOnly = false;
    this.#takeTimeout(Math.max(timeoutLeastMs, timeoutOf(database)));
    this.follow();
  }

  get isOpen(): boolean {
    const database = this.#database.deref();
    return database !== undefined && (database.isOpen ?? database.open ?? true) === true;
  }

  /** Brings `query_only` to what the role is now. While a query is being read it stays; the next call brings it. */
  follow(): void {
    this.#setReadOnly(!this.#role.isPrimary);
  }

  #setReadOnly(isReadOnly: boolean): void {
    if (this.#isReadOnly === isReadOnly) return;
    try {
      this.#exec(`PRAGMA query_only = ${isReadOnly ? 1 : 0}`);
      this.#isReadOnly = isReadOnly;
    } catch {
      // The connection is busy, or closed.
    }
  }

  #takeTimeout(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
    this.#exec(`PRAGMA busy_timeout = ${Math.min(sliceMs, timeoutMs)}`);
  }

  #wrap(database: SqliteHandle): void {
    const { prepare, exec, pragma, transaction } = database;
    const open = typeof database.open === 'function' ? (database.open as () => void) : undefined;
    const guard = this;
    define(database, 'prepare', function (this: SqliteHandle, sql: unknown, ...rest: unknown[]) {
      const statement = prepare.call(this, sql as string, ...rest);
      return guard.#wrapStatement(statement, writingPattern.test(String(sql)));
    });
    define(database, 'exec', function (this: SqliteHandle, sql: unknown) {
      const result = guard.#guarded(() => exec.call(this, sql as string), writingPattern.test(String(sql)));
      guard.#noticeTimeout(String(sql));
      return result;
    });
    if (open) {
      define(database, 'open', function (this: SqliteHandle) {
        open.call(this);
        guard.#begin(this);
      });
    }
    if (pragma) {
      define(database, 'pragma', function (this: SqliteHandle, text: unknown, ...rest: unknown[]) {
        const result = pragma.call(this, text as string, ...rest);
        guard.#noticeTimeout(String(text));
        return result;
      });
    }
    if (transaction) {
      define(database, 'transaction', function (this: SqliteHandle, run: unknown) {
        return guard.#wrapTransaction((counted) => transaction.call(this, counted), run as Call);
      });
    }
  }

  #wrapStatement(statement: SqliteStatement, mayWrite: boolean): SqliteStatement {
    const guard = this;
    for (const name of statementMethods) {
      const method = statement[name];
      if (typeof method !== 'function') continue;
      define(statement, name, function (this: unknown, ...args: unknown[]) {
        return guard.#guarded(() => Reflect.apply(method, this, args), mayWrite);
      });
    }
    return statement;
  }

  /** better-sqlite3 begins a transaction by itself. Until it runs the app's function, it may begin again. */
  #wrapTransaction(make: (run: Call) => Transaction, run: Call): Call {
    let hasBegun = false;
    const inner = make(function (this: unknown, ...args: unknown[]) {
      hasBegun = true;
      return Reflect.apply(run, this, args);
    });
    const guard = this;
    const variant = (kind: TransactionKind): Call =>
      function (this: unknown, ...args: unknown[]) {
        hasBegun = false;
        return guard.#guarded(
          () => Reflect.apply(inner[kind], this, args),
          false,
          () => !hasBegun,
        );
      };
    const outer = variant('default');
    for (const kind of transactionKinds) define(outer, kind, variant(kind));
    return outer;
  }

  #noticeTimeout(sql: string): void {
    const given = timeoutPattern.exec(sql)?.[1];
    if (given !== undefined) this.#takeTimeout(Number(given));
  }

  /** Runs a call, again while another holds the lock, for as long as the app would have waited. */
  #guarded(call: () => unknown, mayWrite: boolean, mayRepeat: () => boolean = () => true): unknown {
    if (this.#isReadOnly === this.#role.isPrimary) this.follow();
    let beganMs: number | undefined;
    for (;;) {
      try {
        const result = call();
        // What succeeds on a replica has not written.
        if (mayWrite && !this.#isReadOnly) requestScope()?.wrote();
        return result;
      } catch (error) {
        const code = sqliteCodeOf(error);
        if (code === sqliteReadOnly && this.#isReadOnly && tellRefused()) shorten(error);
        if (code !== sqliteBusy || this.#isReadOnly || !mayRepeat()) throw error;
        beganMs ??= performance.now();
        this.#waitForLock(beganMs, error);
      }
    }
  }

  /** The event loop stands still meanwhile, so that nobody is told of a change by an event. Throws the error at the end. */
  #waitForLock(beganMs: number, error: unknown): void {
    const isOver = performance.now() - beganMs >= this.#timeoutMs;
    if (isOver ? this.#role.followsByAsking() : this.#role.followsNow()) this.#setReadOnly(true);
    else if (isOver) throw error;
    // Within a transaction SQLite does not wait.
    else Atomics.wait(pause, 0, 0, pauseMs);
  }
}

function define(target: object, name: string, value: Call): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true });
}

/** Frameworks print what they catch with its stack, which looks like a failure that somebody should see to. */
function shorten(error: unknown): void {
  if (error instanceof Error)
    error.stack = `${error.name}: ${error.message} (Skein has the primary answer this request, if it fails)`;
}

/** SQLite's result code; undefined for other errors. A snapshot that is out of date (517) is none that passes by waiting. */
function sqliteCodeOf(error: unknown): number | undefined {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  if (code === 'SQLITE_BUSY') return sqliteBusy;
  if (typeof code === 'string' && code.startsWith('SQLITE_READONLY')) return sqliteReadOnly;
  if (typeof errcode !== 'number') return undefined;
  return (errcode & 0xff) === sqliteReadOnly ? sqliteReadOnly : errcode;
}

function timeoutOf(database: SqliteHandle): number {
  const row = database.prepare('PRAGMA busy_timeout') as { get?: Call };
  const { timeout } = (row.get?.() ?? {}) as { timeout?: unknown };
  return typeof timeout === 'number' ? timeout : 0;
}
