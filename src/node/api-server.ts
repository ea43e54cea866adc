import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { formatListenAddress } from '../config/listen-address.ts';

export type ApiRequest = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
};
export type ApiRoute = (call: ApiRequest) => Promise<void> | void;
/** Takes over the socket of a request for an upgrade that has shown the secret. */
export type ApiUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export type ApiServerOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly secret: string | undefined;
  /** For every answer to who has shown the secret. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Is as good as the secret for `appRoutes`: what the app's own processes have. */
  readonly appToken?: string;
  /** By method and path, like "GET /status". */
  readonly routes: ReadonlyMap<string, ApiRoute>;
  /** By path. */
  readonly upgrades: ReadonlyMap<string, ApiUpgrade>;
  readonly failed: (message: string, fields: Record<string, unknown>) => void;
};

const headersTimeoutMs = 10_000;
const connectionsMax = 5_000;

/** What the app's processes may ask their own node, without its secret. */
const appRoutes: ReadonlySet<string> = new Set([
  'GET /status',
  'GET /health',
  'GET /events',
  'GET /info',
  'POST /wait',
  'POST /halt-lock',
  'GET /tunnel',
  'GET /bus',
]);

/** HTTP status by error code; anything else is 500. */
const statusOf: Partial<Record<ErrorCode, number>> = {
  APP_MISMATCH: 409,
  DATABASE_BUSY: 503,
  DATABASE_ENCRYPTED: 400,
  DATABASE_NOT_FOUND: 404,
  DATABASE_NOT_SQLITE: 400,
  DISK_FULL: 507,
  IMPORT_INVALID: 400,
  LEASE_LOST: 409,
  LEASE_UNREACHABLE: 503,
  NO_CANDIDATE: 409,
  NOT_PRIMARY: 421,
  POSITION_MISMATCH: 409,
  SECRET_WRONG: 401,
  USAGE: 400,
  WAIT_TIMEOUT: 408,
};

/** The node's own HTTP port: the control API, and what other nodes and the app's processes upgrade to. */
export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #secretHash: Buffer | undefined;
  readonly #appTokenHash: Buffer | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #isListening = false;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#secretHash = options.secret === undefined ? undefined : hash(options.secret);
    this.#appTokenHash = options.appToken === undefined ? undefined : hash(options.appToken);
    this.#server = createServer(
      { headersTimeout: headersTimeoutMs, requestTimeout: 0 },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    this.#server.maxConnections = connectionsMax;
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  /** Throws `PORT_IN_USE`, or the system's error. */
  listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', (error) => {
      const address = formatListenAddress(this.#options.listen);
      const code = systemCodeOf(error);
      if (code === 'EADDRINUSE') {
        reject(
          new SkeinError(
            'PORT_IN_USE',
            `Another program listens on ${address}. Stop it, or set [node] listen to another port.`,
            { cause: error },
          ),
        );
      } else {
        reject(
          new SkeinError(
            'PORT_IN_USE',
            `Cannot listen on ${address} (${code ?? messageOf(error)}). Set [node] listen to an address of this machine and a port that this user may use.`,
            { cause: error },
          ),
        );
      }
    });
    this.#server.listen(port, host, () => {
      this.#isListening = true;
      resolve();
    });
    return promise;
  }

  /** Ends what is being answered, exports with their spools among it, and answers nothing more. Streams go on. */
  stopAnswering(): void {
    if (!this.#server.listening) return;
    this.#server.close(() => this.#closed.resolve());
    this.#server.closeAllConnections();
  }

  /** Resolves when the last stream has ended too. */
  async close(): Promise<void> {
    this.stopAnswering();
    if (this.#isListening) await this.#closed.promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://node');
      this.#requireSecret(request, url.pathname);
      for (const [name, value] of Object.entries(this.#options.headers ?? {}))
        response.setHeader(name, value);
      const route = this.#options.routes.get(`${request.method} ${url.pathname}`);
      if (route) await route({ request, response, query: url.searchParams });
      else this.#refuseUnknown(url.pathname, response);
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  #refuseUnknown(path: string, response: ServerResponse): void {
    const methods = [...this.#options.routes.keys()]
      .filter((key) => key.endsWith(` ${path}`))
      .map((key) => key.split(' ')[0]);
    if (methods.length > 0) {
      response.setHeader('allow', methods.join(', '));
      sendError(response, 405, 'USAGE', `${path} takes ${methods.join(' or ')} only.`);
    } else {
      const known = [...this.#options.routes.keys()].join(', ');
      sendError(response, 404, 'USAGE', `There is nothing at ${path}. There is: ${known}.`);
    }
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (!(error instanceof SkeinError)) {
      this.#options.failed('a request failed', {
        path: request.url?.split('?')[0],
        reason: messageOf(error),
      });
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof SkeinError)
      sendError(response, statusOf[error.code] ?? 500, error.code, error.message);
    else sendError(response, 500, 'INTERNAL', messageOf(error));
  }

  #requireSecret(request: IncomingMessage, path: string): void {
    if (!this.#secretHash) return;
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const givenHash = given === undefined ? undefined : hash(given);
    if (givenHash && timingSafeEqual(givenHash, this.#secretHash)) return;
    const isApp = givenHash && this.#appTokenHash && timingSafeEqual(givenHash, this.#appTokenHash);
    if (isApp && appRoutes.has(`${request.method} ${path}`)) return;
    const what = isApp
      ? `The app's token is good for ${[...appRoutes].join(', ')} only`
      : given === undefined
        ? 'This node wants its secret'
        : "The secret is not this node's";
    throw new SkeinError(
      'SECRET_WRONG',
      `${what}: send the secret as "Authorization: Bearer …". It is [node] secret (SKEIN_NODE_SECRET).`,
    );
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const path = URL.parse(request.url ?? '/', 'http://node')?.pathname ?? '/';
    try {
      this.#requireSecret(request, path);
    } catch {
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
      return;
    }
    const upgrade = this.#options.upgrades.get(path);
    if (upgrade) upgrade(request, socket, head);
    else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
  }
}

/** Answers with JSON and ends the response. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}

function sendError(response: ServerResponse, status: number, code: string, message: string): void {
  // The rest of a body that nobody reads would keep the client from reading this.
  response.setHeader('connection', 'close');
  sendJson(response, status, { error: { code, message } });
}

/** Of equal length whatever the secret's, as the comparison needs it. */
function hash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
