import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../base/errors.ts';
import { againHeader } from '../door/hop.ts';
import { joinSockets } from '../door/join-sockets.ts';
import { openTunnel, type Tunnel, tunnelProtocol } from '../door/open-tunnel.ts';
import { SilenceWatch } from '../door/silence-watch.ts';
import type { PrimaryPlace } from './primary-watch.ts';

export type TunnelRouteParts = {
  readonly node: string;
  readonly secret: string | undefined;
  readonly appPort: number;
  /** How long a tunnel to the primary waits for there to be one. */
  readonly primaryWaitMs: number;
  primary(timeoutMs: number, signal: AbortSignal): Promise<PrimaryPlace | undefined>;
  /** Undefined for a node that this one does not know. */
  urlOf(node: string): Promise<string | undefined>;
  /** This node's door, which takes the socket over; undefined where it has none. */
  door(): ((socket: Duplex, againMark: string) => void) | undefined;
};

const tunnelsMax = 4_000;
const hopsMax = 2;
const appTimeoutMs = 5_000;

/**
 * GET /tunnel: the socket becomes a pipe to this node's door, or to its app where it has none; with `to=primary` or
 * `to=NODE` to another node's, through that node's API.
 */
export class TunnelRoute {
  readonly #parts: TunnelRouteParts;
  readonly #sockets = new Set<Duplex>();
  readonly #stopping = new AbortController();
  readonly #silence: SilenceWatch;

  constructor(parts: TunnelRouteParts) {
    this.#parts = parts;
    this.#silence = new SilenceWatch(parts.secret);
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const isFull = this.#stopping.signal.aborted || this.#sockets.size >= tunnelsMax;
    if (request.headers.upgrade?.toLowerCase() !== tunnelProtocol)
      refuse(socket, 426, `Send "Upgrade: ${tunnelProtocol}".`);
    else if (isFull) refuse(socket, 503, 'No more tunnels at the moment.');
    else this.#begin(request, socket, head);
  }

  /** Ends all of them. */
  stop(): void {
    this.#stopping.abort();
    this.#silence.stop();
    for (const socket of this.#sockets) socket.destroy();
  }

  #begin(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (head.length > 0) socket.unshift(head);
    const { searchParams } = new URL(request.url ?? '/', 'http://node');
    const hops = hopsOf(searchParams.get('hops') ?? '0');
    this.#connect(socket, searchParams.get('to') ?? this.#parts.node, hops).catch((error: unknown) =>
      refuse(socket, 502, messageOf(error)),
    );
  }

  async #connect(socket: Duplex, to: string, hops: number): Promise<void> {
    const { node, secret, urlOf, primary, primaryWaitMs } = this.#parts;
    const gone = new AbortController();
    const end = () => gone.abort();
    socket.once('close', end);
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    const place = to === 'primary' ? await primary(primaryWaitMs, signal) : undefined;
    if (to === 'primary' && !place) return refuse(socket, 503, 'No primary is known at the moment.');
    const target = place?.node ?? to;
    if (target === node) return this.#enter(socket, signal);
    const url = place?.url ?? (await urlOf(target));
    if (url === undefined) return this.#ask(socket, target, hops, signal);
    if (hops >= hopsMax) return refuse(socket, 508, `${target} was not found on the way of ${hops} nodes.`);
    // To the node itself, whatever it is by now.
    this.#join(socket, await openTunnel({ url, secret, hops: hops + 1 }, signal), url);
  }

  /** The primary knows nodes that this one does not. */
  async #ask(socket: Duplex, target: string, hops: number, signal: AbortSignal): Promise<void> {
    const { secret, primary } = this.#parts;
    const place = hops < hopsMax ? await primary(0, signal) : undefined;
    if (!place || place.isHere) return refuse(socket, 404, `No node ${target} is known here.`);
    const tunnel = await openTunnel({ url: place.url, secret, to: target, hops: hops + 1 }, signal);
    this.#join(socket, tunnel, place.url);
  }

  async #enter(socket: Duplex, signal: AbortSignal): Promise<void> {
    const enter = this.#parts.door();
    if (!enter) {
      const app = await connectToApp(this.#parts.appPort, signal);
      return this.#join(socket, { socket: app, againMark: undefined });
    }
    // Of this tunnel alone: an app that opens one itself learns nothing of others.
    const againMark = randomBytes(16).toString('hex');
    agree(socket, againMark);
    enter(socket, againMark);
  }

  /** `url` is the API of the other node; undefined for this node's app. */
  #join(socket: Duplex, far: Tunnel, url?: string): void {
    if (socket.destroyed) {
      far.socket.destroy();
      return;
    }
    agree(socket, far.againMark);
    if (url !== undefined) this.#silence.add(url, far.socket);
    joinSockets(socket, far.socket);
  }
}

function agree(socket: Duplex, againMark: string | undefined): void {
  const mark = againMark === undefined ? '' : `${againHeader}: ${againMark}\r\n`;
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${tunnelProtocol}\r\n${mark}\r\n`,
  );
}

/** What is no such number counts as too many. */
function hopsOf(text: string): number {
  return /^\d$/.test(text) ? Number(text) : hopsMax;
}

const reasons: Readonly<Record<number, string>> = {
  404: 'Not Found',
  426: 'Upgrade Required',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  508: 'Loop Detected',
};

function refuse(socket: Duplex, status: number, message: string): void {
  if (socket.destroyed) return;
  const body = `${JSON.stringify({ error: { code: 'NODE_UNREACHABLE', message } })}\n`;
  const head = `HTTP/1.1 ${status} ${reasons[status]}\r\nContent-Type: application/json\r\nConnection: close`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function connectToApp(port: number, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const app = connect({ host: '127.0.0.1', port, allowHalfOpen: true }).setNoDelay();
  const timer = setTimeout(() => app.destroy(new Error('the app does not answer')), appTimeoutMs);
  const abort = () => app.destroy(new Error('the client is gone'));
  signal.addEventListener('abort', abort, { once: true });
  app.once('error', (error) => reject(error));
  app.once('connect', () => resolve(app));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  });
}
