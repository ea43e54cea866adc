import { ServerResponse } from 'node:http';

export type HeaderPair = readonly [name: string, value: string];

/** What becomes of an answer that was held: it goes out with these headers more, or is dropped for another. */
export type Verdict =
  | { readonly kind: 'send'; readonly headers: readonly HeaderPair[] }
  | { readonly kind: 'drop' };

type Call = (this: ServerResponse, ...args: unknown[]) => unknown;
type Method = 'writeHead' | 'flushHeaders' | 'write' | 'end';
type Held = { readonly method: Method; readonly original: Call; readonly args: unknown[] };

type State = 'untouched' | 'held' | 'open' | 'dropped';

const methods: readonly Method[] = ['writeHead', 'flushHeaders', 'write', 'end'];

const heldBy: unique symbol = Symbol('held by') as never;
type Holdable = ServerResponse & { [heldBy]?: HeldResponse };
let canHold = false;

/**
 * Has the methods of all responses look whether theirs is held. To be called before the app has a response in hand: in
 * `response.end(insert())` the method is looked up before the row is written.
 */
export function prepareToHold(): void {
  if (canHold) return;
  canHold = true;
  for (const method of methods) {
    const original = ServerResponse.prototype[method] as Call;
    const value = function (this: Holdable, ...args: unknown[]): unknown {
      const held = this[heldBy];
      return held ? held.call({ method, original, args }) : original.apply(this, args);
    };
    Object.defineProperty(ServerResponse.prototype, method, { value, writable: true, configurable: true });
  }
}

/**
 * Keeps what the app answers from going out until `decide`, asked at the first byte with the status of the answer, has said
 * what becomes of it. To the app the response behaves as one to a slow client: `headersSent` is true, `write` gives false.
 */
export class HeldResponse {
  readonly #response: ServerResponse;
  readonly #decide: (status: number) => Verdict | Promise<Verdict>;
  readonly #calls: Held[] = [];
  #state: State = 'untouched';
  #hasEnded = false;

  constructor(response: Holdable, decide: (status: number) => Verdict | Promise<Verdict>) {
    prepareToHold();
    this.#response = response;
    this.#decide = decide;
    Object.defineProperty(response, heldBy, { value: this });
    this.#tell('headersSent', () => true);
    this.#tell('writableEnded', () => this.#hasEnded);
  }

  /** A property that is as if the answer had gone out, while it has not. */
  #tell(name: 'headersSent' | 'writableEnded', told: () => boolean): void {
    const response = this.#response;
    const prototype = Object.getPrototypeOf(response) as object;
    const get = () =>
      this.#state === 'held' || this.#state === 'dropped' ? told() : Reflect.get(prototype, name, response);
    Object.defineProperty(response, name, { get, configurable: true });
  }

  /** One of the methods was called. */
  call(call: Held): unknown {
    if (this.#state === 'open') return call.original.apply(this.#response, call.args);
    if (call.method === 'end') this.#hasEnded = true;
    if (this.#state === 'dropped') {
      finishDropped(call);
      return call.method === 'write' ? true : this.#response;
    }
    this.#calls.push(call);
    if (this.#state === 'untouched') this.#begin(call);
    return call.method === 'write' ? (this.#state as State) === 'dropped' : this.#response;
  }

  #begin({ method, args }: Held): void {
    this.#state = 'held';
    const status = method === 'writeHead' ? Number(args[0]) : this.#response.statusCode;
    const verdict = this.#decide(status);
    if (verdict instanceof Promise) verdict.then((settled) => this.#settle(settled));
    else this.#settle(verdict);
  }

  #settle(verdict: Verdict): void {
    const calls = this.#calls.splice(0);
    const mustDrain = calls.some(({ method }) => method === 'write') && !this.#hasEnded;
    if (verdict.kind === 'drop') {
      this.#state = 'dropped';
      for (const call of calls) finishDropped(call);
      if (mustDrain) this.#response.emit('drain');
      return;
    }
    this.#state = 'open';
    try {
      let isTaken = true;
      for (const [index, call] of calls.entries()) {
        const args = index === 0 ? this.#withHeaders(call, verdict.headers) : call.args;
        const result = call.original.apply(this.#response, args);
        if (call.method === 'write') isTaken = result === true;
      }
      // A socket that is full drains by itself.
      if (mustDrain && isTaken) process.nextTick(() => this.#response.emit('drain'));
    } catch (error) {
      // What `writeHead` would have thrown at the app, which has gone on since.
      this.#response.destroy(error as Error);
    }
  }

  /** The arguments of the first call. Headers that `writeHead` is given take the place of those that were set before. */
  #withHeaders({ method, args }: Held, headers: readonly HeaderPair[]): unknown[] {
    const given = method === 'writeHead' ? args.at(-1) : undefined;
    const left = headers.filter(([name, value]) => {
      const isAdded = typeof given === 'object' && given !== null && addTo(given, name, value);
      return !isAdded;
    });
    for (const [name, value] of left) this.#response.appendHeader(name, value);
    return args;
  }
}

/** Whoever waits for its callback goes on. */
function finishDropped({ args }: Held): void {
  const callback = args.at(-1);
  if (typeof callback === 'function') process.nextTick(callback as () => void);
}

/** Adds to the values of a header in what `writeHead` was given; false where it is not in there. */
function addTo(given: object, name: string, value: string): boolean {
  const isName = (other: unknown) => String(other).toLowerCase() === name;
  if (Array.isArray(given)) {
    const isPairs = Array.isArray(given[0]);
    const isThere = given.some((item, index) =>
      isPairs ? isName(item[0]) : index % 2 === 0 && isName(item),
    );
    if (isThere) given.push(...(isPairs ? [[name, value]] : [name, value]));
    return isThere;
  }
  const headers = given as Record<string, unknown>;
  const key = Object.keys(headers).find(isName);
  if (key === undefined) return false;
  headers[key] = [headers[key], value].flat();
  return true;
}
