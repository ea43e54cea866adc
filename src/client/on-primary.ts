import { AsyncLocalStorage } from 'node:async_hooks';
import { BusError, errorFrom, errorParts } from './bus-error.ts';
import { bodyBytesMax, type ErrorParts, nameCharactersMax } from './bus-frames.ts';
import { type Connection, processConnection } from './connection.ts';

const timeoutMsDefault = 30_000;
const timeoutMsMax = 600_000;
const inFlightMax = 5_000;
/** The node answers at the end of the time; only when it does not answer at all is this process the one to say so. */
const graceMs = 2_000;

export type OnPrimaryOptions = {
  /** Whether running the function twice does no harm: a call whose outcome is unknown is made again then. */
  readonly idempotent?: boolean;
  /** How long a call may take in all, ms; 30,000 unless set, 600,000 at most. */
  readonly timeoutMs?: number;
  /**
   * `local`: the answer does not wait for another node. `replica`: it does, or the call rejects with `WAIT_TIMEOUT`. Unless set, it
   * waits where another candidate is connected, and not for ever.
   */
  readonly durability?: 'local' | 'replica';
};

export type CallOptions = {
  readonly timeoutMs?: number;
  /** Ends the wait for the answer. A function that has begun runs to its end. */
  readonly signal?: AbortSignal;
};

export type PrimaryFunction<Args extends unknown[], Result> = {
  (...args: Args): Promise<Result>;
  /** The same function, with a time limit or a signal for the call that follows. */
  with(options: CallOptions): (...args: Args) => Promise<Result>;
};

type Served = (...args: unknown[]) => unknown;
type Call = {
  readonly name: string;
  readonly argsText: string;
  readonly options: OnPrimaryOptions;
  readonly timeoutMs: number;
  readonly nested: boolean;
  isSent: boolean;
  settle(error: Error | undefined, text?: string): void;
};

/** Set while a function runs on behalf of a call. */
const running = new AsyncLocalStorage<true>();

/** The calls of one process, and the functions that it runs for others. */
export class PrimaryCalls {
  readonly #connection: Connection | undefined;
  readonly #served = new Map<string, Served>();
  readonly #calls = new Map<number, Call>();
  #lastId = 0;

  constructor(connection: Connection | undefined) {
    this.#connection = connection;
    connection?.on('answer', ({ id, error }, text) => {
      // A body beside an error is the result of a function that ran.
      const result = error && text !== undefined ? { result: parse(text) } : {};
      this.#calls.get(id)?.settle(error && errorFrom(error, result), text);
    });
    connection?.on('run', ({ id, name }, text) => void this.#run(id, name, text ?? '[]'));
  }

  /** Throws `USAGE`. */
  serve(name: string, fn: Served): void {
    if (name.length === 0 || name.length > nameCharactersMax || this.#served.has(name)) {
      const why = this.#served.has(name)
        ? 'is registered already'
        : `is not 1 to ${nameCharactersMax} characters`;
      throw new BusError('USAGE', `onPrimary: the name ${JSON.stringify(name)} ${why}. Take another.`);
    }
    this.#served.set(name, fn);
    // The first one makes the link, which then tells all names.
    if (this.#served.size === 1)
      this.#connection?.add({ opened: () => this.#opened(), closed: () => this.#closed() });
    else this.#connection?.send({ t: 'serve', names: [name] });
  }

  call(
    name: string,
    args: unknown[],
    options: OnPrimaryOptions,
    { timeoutMs = options.timeoutMs ?? timeoutMsDefault, signal }: CallOptions,
  ): Promise<unknown> {
    const nested = running.getStore() === true;
    const fn = this.#served.get(name);
    const argsText = textOf(args, 'arguments');
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (fn && (nested || !this.#connection)) return runHere(fn, argsText);
    if (this.#calls.size >= inFlightMax) {
      const why = `This process waits for ${inFlightMax} calls already. Make fewer at once.`;
      return Promise.reject(new BusError('BUS_OVERLOADED', why));
    }
    const boundMs = Math.min(Math.max(timeoutMs, 1), timeoutMsMax);
    return this.#send({ name, argsText, options, timeoutMs: boundMs, nested }, signal);
  }

  #send(call: Pick<Call, 'name' | 'argsText' | 'options' | 'timeoutMs' | 'nested'>, signal?: AbortSignal) {
    return new Promise<unknown>((resolve, reject) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const release = this.#connection?.hold();
      const abort = () => {
        this.#connection?.send({ t: 'cancel', id });
        settle(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)));
      };
      const settle = (error: Error | undefined, text?: string) => {
        if (!this.#calls.delete(id)) return;
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        release?.();
        if (error) reject(error);
        else resolve(parse(text));
      };
      const timeOut = () => settle(entry.isSent ? unknownOutcome(call.name) : this.#connection?.problem);
      const timer = setTimeout(timeOut, call.timeoutMs + graceMs);
      const entry: Call = { ...call, isSent: false, settle };
      this.#calls.set(id, entry);
      signal?.addEventListener('abort', abort, { once: true });
      this.#transmit(id, entry);
    });
  }

  #transmit(id: number, call: Call): void {
    const { name, argsText, options, timeoutMs, nested } = call;
    const { idempotent = false, durability = 'default' } = options;
    const head = { t: 'call', id, name, timeoutMs, idempotent, nested, durability } as const;
    if (this.#connection?.send(head, argsText)) call.isSent = true;
  }

  #opened(): void {
    const names = [...this.#served.keys()];
    for (let at = 0; at < names.length; at += 100)
      this.#connection?.send({ t: 'serve', names: names.slice(at, at + 100) });
    for (const [id, call] of [...this.#calls]) if (!call.isSent) this.#transmit(id, call);
  }

  #closed(): void {
    for (const call of [...this.#calls.values()]) {
      if (call.options.idempotent) call.isSent = false;
      else if (call.isSent) call.settle(unknownOutcome(call.name));
    }
  }

  async #run(id: number, name: string, argsText: string): Promise<void> {
    const release = this.#connection?.hold();
    let text: string | undefined;
    let error: ErrorParts | undefined;
    try {
      const fn = this.#served.get(name);
      if (!fn) throw new BusError('CALL_NOT_SERVED', `This process has no function ${name} any more.`);
      text = await runInside(fn, argsText);
    } catch (thrown) {
      error = errorParts(thrown);
    }
    this.#connection?.send(error ? { t: 'ran', id, error } : { t: 'ran', id }, text);
    release?.();
  }
}

async function runHere(fn: Served, argsText: string): Promise<unknown> {
  return parse(await runInside(fn, argsText));
}

/** The JSON of what the function returns. Values cross as JSON here too: the same everywhere. */
async function runInside(fn: Served, argsText: string): Promise<string | undefined> {
  const args = JSON.parse(argsText) as unknown[];
  const result = await running.run(true, async () => fn(...args));
  return result === undefined ? undefined : textOf(result, 'result');
}

function parse(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

/** Throws `PAYLOAD_TOO_LARGE`, and what JSON does not take. */
function textOf(value: unknown, what: string): string {
  const text = JSON.stringify(value) ?? 'null';
  if (text.length <= bodyBytesMax && Buffer.byteLength(text) <= bodyBytesMax) return text;
  throw new BusError(
    'PAYLOAD_TOO_LARGE',
    `The ${what} of a call takes over ${bodyBytesMax} bytes of JSON. Put large data into the database.`,
  );
}

function unknownOutcome(name: string): BusError {
  return new BusError(
    'CALL_OUTCOME_UNKNOWN',
    `The link was lost while ${name} may have run. Look at the data, or register it with { idempotent: true } if running it twice does no harm.`,
  );
}

let shared: PrimaryCalls | undefined;

/**
 * Makes a function that runs on the primary, from whichever process of whichever node it is called: `fn` of a process there that
 * has registered the same name. When it resolves, this node's databases have what the function wrote. Arguments and result are
 * JSON. Throws `USAGE` for a name that is taken.
 *
 * Calls are held while the lead changes, and never run twice unless `idempotent` says that this is allowed. They reject with what
 * `fn` threw (name, message and code), or with a `BusError`.
 */
export function onPrimary<Args extends unknown[], Result>(
  name: string,
  fn: (...args: Args) => Result | Promise<Result>,
  options: OnPrimaryOptions = {},
): PrimaryFunction<Args, Result> {
  shared ??= new PrimaryCalls(processConnection());
  const calls = shared;
  calls.serve(name, fn as Served);
  const calling =
    (callOptions: CallOptions) =>
    async (...args: Args) =>
      (await calls.call(name, args, options, callOptions)) as Result;
  return Object.assign(calling({}), { with: calling });
}
