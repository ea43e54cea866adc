import { randomUUID } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { BusError } from './bus-error.ts';
import {
  busPath,
  busProtocol,
  busUpgrade,
  type FromNode,
  type FromProcess,
  type Head,
  heartbeatMs,
  lineBytesMax,
  silenceMaxMs,
} from './bus-frames.ts';
import { HybridClock } from './hybrid-clock.ts';
import { type Line, LineSocket } from './line-socket.ts';

const retryFirstMs = 50;
const retryMaxMs = 2_000;
const connectTimeoutMs = 5_000;
const queueBytesMax = 16 << 20;

export type ConnectionOptions = {
  /** The local node's API, like `http://127.0.0.1:20202`. */
  readonly url: string;
  readonly token: string | undefined;
};

/** What of this process speaks over the connection: calls, channels, caches. */
export type ConnectionPart = {
  /** The link stands: what the node has to know is sent anew. */
  opened(): void;
  /** The link is lost; another follows. */
  closed(): void;
};

type Receiver<T extends FromNode['t']> = (
  head: Extract<FromNode, { t: T }>,
  body: string | undefined,
) => void;

/** This process's link to its node: made when it is first used, and again whenever the node has gone and come back. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #parts = new Set<ConnectionPart>();
  readonly #receivers = new Map<string, (head: never, body: string | undefined) => void>();
  readonly clock: HybridClock;
  #link: LineSocket | undefined;
  #isWelcome = false;
  #connecting: AbortController | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = retryFirstMs;
  #problem = 'it has not answered so far';
  #isClosed = false;
  #holds = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.clock = new HybridClock(randomUUID().slice(0, 18));
  }

  get isOpen(): boolean {
    return this.#isWelcome && this.#link?.isOpen === true;
  }

  /** Why there is no link. */
  get problem(): BusError {
    return new BusError(
      'NODE_UNREACHABLE',
      `This process has no link to its node at ${this.#options.url}: ${this.#problem}. It is tried again; see that the node runs and that SKEIN_API is right.`,
    );
  }

  add(part: ConnectionPart): void {
    this.#parts.add(part);
    if (this.isOpen) part.opened();
    else this.#connect();
  }

  on<T extends FromNode['t']>(type: T, receiver: Receiver<T>): void {
    this.#receivers.set(type, receiver as (head: never, body: string | undefined) => void);
  }

  /** False when there is no link. */
  send(head: FromProcess, body?: string, dropped?: () => void): boolean {
    return this.isOpen && this.#link?.send(head, body, dropped) === true;
  }

  feed(lines: Iterator<Line>): void {
    if (this.isOpen) this.#link?.feed(lines);
  }

  get hasRoom(): boolean {
    return this.isOpen && this.#link?.hasRoom === true;
  }

  /** Keeps the process running until the returned function is called. */
  hold(): () => void {
    this.#holds += 1;
    this.#applyHolds();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      this.#applyHolds();
    };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#connecting?.abort();
    this.#link?.destroy('this process closed it');
  }

  #applyHolds(): void {
    this.#link?.setRef(this.#holds > 0);
    if (this.#holds > 0) this.#retry?.ref();
    else this.#retry?.unref();
  }

  #connect(): void {
    if (this.#connecting || this.#link || this.#retry || this.#isClosed) return;
    const { url, token } = this.#options;
    const connecting = new AbortController();
    this.#connecting = connecting;
    const fail = (problem: string) => {
      if (this.#connecting !== connecting) return;
      this.#connecting = undefined;
      connecting.abort();
      this.#failed(problem);
    };
    const target = new URL(busPath, url);
    const call = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
      agent: false,
      timeout: connectTimeoutMs,
      signal: connecting.signal,
      headers: {
        connection: 'upgrade',
        upgrade: busUpgrade,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    call.on('socket', (socket) => {
      if (this.#holds === 0) socket.unref();
    });
    call.on('timeout', () => fail('it does not answer'));
    call.on('error', (error) => fail(error.message || String((error as { code?: unknown }).code)));
    call.on('response', (response) => {
      response.resume();
      fail(refusalOf(response));
    });
    call.on('upgrade', (_response, socket, head) => {
      this.#connecting = undefined;
      socket.setTimeout(0);
      this.#open(socket, head);
    });
    call.end();
  }

  #open(socket: Duplex, head: Buffer): void {
    const link = new LineSocket(socket, head, {
      lineBytesMax,
      queueBytesMax,
      heartbeatMs,
      silenceMaxMs,
      heartbeat: () => ({ t: 'ping', clockMs: this.clock.nowMs }),
      received: (frame, body) => this.#receive(frame, body),
      closed: (reason) => this.#closed(link, reason),
    });
    this.#link = link;
    this.#applyHolds();
    link.send({ t: 'hello', protocol: busProtocol, pid: process.pid });
  }

  #receive(head: Head, body: string | undefined): void {
    const frame = head as FromNode;
    if (frame.t === 'welcome') {
      this.#isWelcome = true;
      this.#retryMs = retryFirstMs;
      for (const part of this.#parts) part.opened();
    } else if (frame.t === 'refuse') {
      throw new Error(frame.message);
    } else if (frame.t === 'ping') {
      this.clock.hear(frame.clockMs);
    } else {
      // A later node may tell more than this process knows of.
      this.#receivers.get(frame.t)?.(frame as never, body);
    }
  }

  #closed(link: LineSocket, reason: string): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    const wasWelcome = this.#isWelcome;
    this.#isWelcome = false;
    this.#failed(reason);
    if (wasWelcome) for (const part of this.#parts) part.closed();
  }

  #failed(problem: string): void {
    this.#problem = problem;
    if (this.#isClosed) return;
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        this.#connect();
      },
      this.#retryMs * (0.8 + 0.4 * Math.random()),
    );
    this.#retryMs = Math.min(retryMaxMs, this.#retryMs * 2);
    this.#applyHolds();
  }
}

function refusalOf({ statusCode }: IncomingMessage): string {
  if (statusCode === 401) return 'it refuses the token that this process has in SKEIN_TOKEN';
  if (statusCode === 503) return 'it is still starting';
  return `what answers there is no node of Skein with a bus (HTTP status ${statusCode})`;
}

let shared: Connection | undefined;

/** The connection of this process; undefined where no node runs it, and everything stays in the process. */
export function processConnection(): Connection | undefined {
  const { SKEIN_API: url, SKEIN_TOKEN: token } = process.env;
  if (url === undefined || url === '') return undefined;
  shared ??= new Connection({ url, token });
  return shared;
}
