import type { TestNode } from '../support/test-node.ts';

const requestMs = 4_000;
/** A door waits for a primary and for durability, each up to 5 s, and for its app. */
const doorRequestMs = 15_000;

export type Status = {
  readonly pid: number;
  readonly role: 'primary' | 'replica';
  readonly primary: { readonly node: string } | null;
  readonly epoch: number;
  readonly processes: readonly { readonly pid: number | null }[];
};
export type Written = { readonly id: number; readonly begunMs: number; readonly doneMs: number };
export type ReadAnswer = {
  /** Of the app: another one means another life. */
  readonly pid: number;
  readonly id: number;
  readonly value: string | null;
  /** At the ids that were asked for. */
  readonly known: readonly (string | null)[];
};
export type Waited = { readonly status: number; readonly position: string };

/** What came back through a door; the status of its own refusals too. */
export type DoorAnswer<Body> = {
  readonly status: number;
  /** The value of `skein-durability`. */
  readonly durability: string | null;
  /** The value that the session is to send from now on, empty when it is to forget it; undefined for no change. */
  readonly cookie: string | undefined;
  /** Undefined when it is not the app's. */
  readonly body: Body | undefined;
  readonly text: string;
};

/** A node as its clients see it: its API, its app, and the door in front of that. Every call answers undefined when nothing comes back in time. */
export class FaultNode {
  readonly node: TestNode;
  /** Of its app, past the door. */
  readonly appUrl: string;
  readonly #doorUrl: string;
  /** Whether it is frozen at the moment, or down on purpose. */
  isAway = false;
  /** How long the next write keeps its transaction open. */
  holdMs = 0;

  constructor(node: TestNode, appPort: number, doorPort: number) {
    this.node = node;
    this.appUrl = `http://127.0.0.1:${appPort}`;
    this.#doorUrl = `http://127.0.0.1:${doorPort}`;
  }

  get name(): string {
    return this.node.name;
  }

  async status(): Promise<Status | undefined> {
    return (await ask(`${this.node.url}/status`))?.body as Status | undefined;
  }

  /** Its status too when it is no 200. */
  async wait(asked: object): Promise<Waited | undefined> {
    const answer = await ask(`${this.node.url}/wait`, { database: 'app.db', timeoutMs: 2_000, ...asked });
    return answer && { status: answer.status, position: String(Reflect.get(answer.body, 'position')) };
  }

  async write(value: string): Promise<Written | undefined> {
    const { holdMs } = this;
    this.holdMs = 0;
    const answer = await ask(`${this.appUrl}/write`, { value, holdMs }, requestMs + holdMs);
    return answer?.status === 200 ? (answer.body as Written) : undefined;
  }

  async read(id: number): Promise<ReadAnswer | undefined> {
    const answer = await ask(`${this.appUrl}/read?id=${id}`);
    return answer?.status === 200 ? (answer.body as ReadAnswer) : undefined;
  }

  /** A write that goes wherever the door sends it. */
  writeByDoor(value: string, cookie = ''): Promise<DoorAnswer<Written> | undefined> {
    return askDoor(`${this.#doorUrl}/write`, cookie, JSON.stringify({ value, holdMs: 0 }));
  }

  readByDoor(ids: readonly number[], cookie: string): Promise<DoorAnswer<ReadAnswer> | undefined> {
    const query = ids.map((id) => `id=${id}`).join('&');
    return askDoor(`${this.#doorUrl}/read?${query}`, cookie);
  }

  /** Undefined when it does not answer in time; the status and the message of an error else. */
  async post(path: string, body: object): Promise<{ status: number; body: object } | undefined> {
    return ask(this.node.url + path, body, 25_000);
  }
}

async function ask(
  url: string,
  body?: object,
  timeoutMs = requestMs,
): Promise<{ status: number; body: object } | undefined> {
  try {
    const method = body === undefined ? 'GET' : 'POST';
    const answer = await fetch(url, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: answer.status, body: (await answer.json()) as object };
  } catch {
    return undefined;
  }
}

async function askDoor<Body>(
  url: string,
  cookie: string,
  body?: string,
): Promise<DoorAnswer<Body> | undefined> {
  try {
    const answer = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      ...(body === undefined ? {} : { body }),
      headers: cookie === '' ? {} : { cookie: `__txid=${cookie}` },
      signal: AbortSignal.timeout(doorRequestMs),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      durability: answer.headers.get('skein-durability'),
      cookie: /^__txid=([^;]*)/.exec(answer.headers.get('set-cookie') ?? '')?.[1],
      body: answer.status === 200 ? (JSON.parse(text) as Body) : undefined,
      text,
    };
  } catch {
    return undefined;
  }
}
