import { createHmac } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { LocalNode } from './local-node.ts';
import { Middleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';

const token = 'token';
/** Of the door of such a node. */
export const doorMark = createHmac('sha256', token).update('skein-door').digest('hex');
const checksum = 'c3f02f3fc1cfa2ac';

/** Answers as a node does, in what the library asks; a test says what it is to answer. */
export class StandInNode {
  isPrimary = true;
  primary: string | undefined = 'self';
  /** Whether it leads beyond doubt; undefined for a node that gives no answer at all, like one that stands still. */
  canWrite: boolean | undefined = true;
  /** Whether POST /wait takes all databases at once, which older nodes do not. */
  takesAll = true;
  /** Databases that nobody else than the node has seen yet. */
  unseen: readonly string[] = [];
  epoch = 1;
  /** Of whose chain its databases are; undefined for an older node, which does not tell. */
  chainEpoch: number | undefined = 1;
  hasCandidate = true;
  isDurable = true;
  /** Where a tunnel leads; undefined for a node that knows no primary. */
  tunnelPort: number | undefined;
  readonly directory = mkdtempSync(join(tmpdir(), 'skein-client-'));
  readonly waits: Record<string, unknown>[] = [];
  tunnels = 0;
  readonly #server: Server;
  readonly #listeners = new Set<ServerResponse>();
  readonly #statuses = new EventEmitter();
  readonly #txids = new Map<string, number>();

  private constructor() {
    this.#server = createServer((call, answer) => void this.#answer(call, answer));
    this.#server.on('upgrade', (_call, socket) => {
      this.tunnels += 1;
      socket.on('error', () => undefined);
      if (this.tunnelPort === undefined) {
        socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const app = connect(this.tunnelPort, '127.0.0.1');
      app.on('error', () => socket.destroy());
      app.on('close', () => socket.destroy());
      socket.on('close', () => app.destroy());
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: skein-tunnel\r\n\r\n',
      );
      socket.pipe(app).pipe(socket);
    });
  }

  static async start(t: TestContext): Promise<StandInNode> {
    const node = new StandInNode();
    await listen(t, node.#server);
    t.after(() => {
      node.#server.closeAllConnections();
      rmSync(node.directory, { recursive: true, force: true });
    });
    node.setTxid('app.db', 1);
    return node;
  }

  /** Who hears its events. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** What the library makes of it. It has heard who leads: to ask and stand still would keep this process from answering. */
  async local(): Promise<LocalNode> {
    const { directory, url: api } = this;
    const local = new LocalNode({ directory, api, token, node: 'self', region: 'ams' });
    await local.role.changed(5_000);
    return local;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  setTxid(database: string, txid: number): void {
    this.#txids.set(database, txid);
    writeFileSync(join(this.directory, `${database}-pos`), `${hexOf(txid)}/${checksum}\n`);
  }

  /** Resolves when GET /status has come so many more times. */
  async asked(times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) await once(this.#statuses, 'asked');
  }

  /** Tells all who listen. */
  become(isPrimary: boolean, primary: string | undefined): void {
    this.isPrimary = isPrimary;
    this.primary = primary;
    for (const listener of this.#listeners) listener.write(this.#line('primaryChange'));
  }

  /** Tells all who listen of a state that is kept. */
  lose(): void {
    const data = { id: 'x', reason: '', from: '', to: '', epoch: 1, transactions: 1, time: '' };
    for (const listener of this.#listeners)
      listener.write(`${JSON.stringify({ type: 'lost', db: 'app.db', data })}\n`);
  }

  #line(type: string): string {
    const hostname = this.isPrimary ? undefined : this.primary;
    return `${JSON.stringify({ type, data: { isPrimary: this.isPrimary, hostname } })}\n`;
  }

  async #answer(call: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (call.url === '/events') {
      answer.write(this.#line('init'));
      this.#listeners.add(answer);
      return;
    }
    const role = this.isPrimary ? 'primary' : 'replica';
    if (call.url === '/status') {
      this.#statuses.emit('asked');
      const primary = this.primary === undefined ? null : { node: this.primary, url: 'http://there' };
      const { canWrite, epoch, chainEpoch } = this;
      if (canWrite === undefined) return;
      const replicas = [{ candidate: true, connected: this.hasCandidate }];
      const databases = Object.fromEntries(
        [...this.#txids].map(([name, txid]) => [name, { lagMs: 0, txid: hexOf(txid) }]),
      );
      const told = { role, canWrite, epoch, chainEpoch, primary, replicas, databases };
      answer.end(JSON.stringify(told));
      return;
    }
    if (call.url !== '/wait') {
      answer.writeHead(503).end('{}');
      return;
    }
    const wait = JSON.parse(await text(call)) as Record<string, unknown>;
    this.waits.push(wait);
    if (wait.database === undefined) {
      if (!this.takesAll) {
        answer.writeHead(400).end('{"error":{"code":"USAGE","message":"database: required"}}');
        return;
      }
      const known = [...this.#txids.keys(), ...this.unseen];
      const positions = Object.fromEntries(known.map((name) => [name, `0000000000000005/${checksum}`]));
      answer.end(JSON.stringify({ positions, role, chainEpoch: this.chainEpoch }));
      return;
    }
    if (wait.durability === undefined || this.isDurable) {
      answer.end(
        JSON.stringify({ position: wait.position ?? `0000000000000005/${checksum}`, nodes: [], role }),
      );
    } else {
      // As long as it was asked to, so that whoever asks does not ask at once again.
      setTimeout(
        () => answer.writeHead(408).end('{"error":{"code":"WAIT_TIMEOUT"}}'),
        Number(wait.timeoutMs),
      );
    }
  }
}

function hexOf(txid: number): string {
  return txid.toString(16).padStart(16, '0');
}

export type TestAnswer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
};

export async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** A server whose requests pass through the middleware of this node; its port. */
export async function listenBehind(
  t: TestContext,
  node: StandInNode | LocalNode | undefined,
  app: (request: IncomingMessage, response: ServerResponse) => void,
  options: MiddlewareOptions = {},
): Promise<number> {
  const middleware = new Middleware(node instanceof StandInNode ? await node.local() : node, options);
  const server = createServer((incoming, response) =>
    middleware.handle(incoming, response, () => app(incoming, response)),
  );
  return listen(t, server);
}

/** Rejects when the connection breaks. */
export function ask(
  port: number,
  options: {
    method?: string;
    path?: string;
    headers?: Readonly<Record<string, string>>;
    body?: string;
    from?: string;
  } = {},
): Promise<TestAnswer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path = '/', headers = {}, body, from = '127.0.0.1' } = options;
    const call = request(
      { port, host: '127.0.0.1', localAddress: from, method, path, headers, agent: false },
      (answer) => {
        text(answer).then(
          (whole) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: whole }),
          reject,
        );
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}
