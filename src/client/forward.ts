import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { Answer } from './answer.ts';
import { messageOf, SkeinClientError } from './client-error.ts';
import { isReading } from './is-reading.ts';
import type { LocalNode } from './local-node.ts';
import { type CallUnderWay, SilenceWatch } from './silence-watch.ts';
import { TunnelAgent } from './tunnel-agent.ts';

/** Carried by a request that a node has passed on: how often, and for whom; the same as between doors. */
export const hopsHeader = 'skein-hop';

const hopsMax = 4;
const retryMs = 25;
/** A handoff lets what is under way come to its end; it takes less. */
const silenceMsMax = 5_000;
/** A request may also have to wait for one of the tunnels that there are. */
const tunnelWaitMs = 10_000;
const hopByHop = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te'],
  ...['trailer', 'transfer-encoding', 'upgrade', 'expect'],
  // Between nodes, or a node and its app: nobody else is to say them, or to hear them.
  ...[hopsHeader, 'skein-door', 'skein-wrote', 'skein-again'],
]);

const nodeAddresses: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/** Whoever sends them cannot have them taken away: what a body is, whom it is for, and where it came from. */
const ofTheMessage = new Set([
  ...['content-length', 'transfer-encoding', 'host', 'forwarded'],
  ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'],
]);

export type Forwarded = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The body, where it was read already; else it is streamed. */
  readonly body?: Buffer;
  /** Called in place of forwarding when this node leads by now; undefined where the app has answered once already. */
  readonly here?: () => void;
};

/** Passes requests on to the primary, through the local node. */
export class Forward {
  readonly #node: LocalNode;
  readonly #primaryWaitMs: number;
  readonly #watch: SilenceWatch;
  #agent: TunnelAgent;

  constructor(node: LocalNode, primaryWaitMs: number, silenceMs = silenceMsMax) {
    this.#node = node;
    this.#watch = new SilenceWatch(node, silenceMs);
    this.#primaryWaitMs = primaryWaitMs;
    this.#agent = new TunnelAgent(node.place, node.api);
    node.role.onEvent(({ type }) => {
      // What leads to the old primary is used to its end, and not again.
      if (type !== 'tx') this.#renew();
    });
  }

  /**
   * Tries until a tunnel to the primary is open, then sends the request once. Never rejects: what cannot be done is answered
   * with 502 where the primary may have got the request, and with 503 where it did not.
   */
  async send({ request: incoming, response, body, here }: Forwarded): Promise<void> {
    const answer = new Answer(response);
    const hops = hopsOf(incoming) + 1;
    if (hops > hopsMax) {
      answer.refuse(
        508,
        'Loop Detected',
        'The nodes pass this request around: they do not agree on who leads.',
      );
      return;
    }
    const deadlineMs = performance.now() + this.#primaryWaitMs;
    for (;;) {
      if (answer.isGone) return;
      if (here && this.#node.role.isPrimary) {
        here();
        return;
      }
      try {
        await this.#sendOnce(incoming, answer, body, hops);
        return;
      } catch (error) {
        if (answer.isGone) return;
        if (!(error instanceof SkeinClientError) || performance.now() >= deadlineMs) {
          answer.refuse(503, 'Service Unavailable', `${messageOf(error)} Nothing was written.`, [
            'retry-after',
            '1',
          ]);
          return;
        }
        await this.#node.role.changed(retryMs);
      }
    }
  }

  #renew(): void {
    this.#agent.retire();
    this.#agent = new TunnelAgent(this.#node.place, this.#node.api);
  }

  /** Rejects only before anything was sent. */
  #sendOnce(
    incoming: IncomingMessage,
    answer: Answer,
    body: Buffer | undefined,
    hops: number,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        agent: this.#agent,
        method: incoming.method,
        path: incoming.url,
        headers: headersOf(incoming, body, hops),
        setHost: false,
      });
      let underWay: CallUnderWay | undefined;
      const abandon = () => outgoing.destroy();
      answer.onceClosed(abandon);
      const timer = setTimeout(() => {
        outgoing.destroy();
        reject(new SkeinClientError('NO_PRIMARY', `No way to the primary in ${tunnelWaitMs} ms.`));
      }, tunnelWaitMs);
      outgoing.once('socket', () => {
        clearTimeout(timer);
        const sent = this.#watch.begin((reason) => outgoing.destroy(new Error(reason)));
        underWay = sent;
        if (body === undefined) pump(incoming, outgoing, sent);
        else outgoing.end(body);
      });
      outgoing.on('information', ({ statusCode, headers }) => {
        underWay?.heard();
        const { link } = headers;
        if (statusCode === 103 && link !== undefined && !answer.isGone) answer.earlyHints(link);
      });
      outgoing.once('response', (upstream) => {
        if (underWay) pass(upstream, answer, underWay);
        resolve();
      });
      outgoing.on('close', () => {
        clearTimeout(timer);
        underWay?.over();
      });
      outgoing.on('error', (error) => {
        incoming.unpipe(outgoing);
        if (!underWay) reject(error);
        else if (!answer.isGone && !answer.hasEnded) lostAnswer(answer, error);
        resolve();
      });
    });
  }
}

function pump(incoming: IncomingMessage, outgoing: ClientRequest, underWay: CallUnderWay): void {
  incoming.on('error', () => outgoing.destroy());
  incoming.on('data', () => underWay.heard());
  incoming.on('end', () => outgoing.end());
  incoming.pipe(outgoing, { end: false });
}

function lostAnswer(answer: Answer, error: Error): void {
  if (answer.hasBegun) {
    answer.destroy();
    return;
  }
  const text = `The connection to the primary broke (${error.message}). It may or may not have done what was asked.`;
  answer.refuse(502, 'Bad Gateway', text);
}

function pass(upstream: IncomingMessage, answer: Answer, underWay: CallUnderWay): void {
  underWay.heard();
  const headers: string[] = [];
  const dropped = connectionHeaders(upstream.headers.connection);
  for (let index = 0; index < upstream.rawHeaders.length; index += 2) {
    const name = upstream.rawHeaders[index] ?? '';
    const lower = name.toLowerCase();
    // What trailers follow is said as it is: the encoding is chunked again here.
    if (lower !== 'trailer' && (hopByHop.has(lower) || dropped.has(lower))) continue;
    headers.push(name, upstream.rawHeaders[index + 1] ?? '');
  }
  answer.head(upstream.statusCode ?? 502, upstream.statusMessage ?? '', headers);
  upstream.on('data', (chunk: Buffer) => {
    underWay.heard();
    if (answer.write(chunk)) return;
    upstream.pause();
    underWay.paused();
    answer.onceDrained(() => {
      underWay.heard();
      upstream.resume();
    });
  });
  upstream.on('end', () => answer.end(undefined, upstream.rawTrailers));
  // A client must see that the rest is missing.
  upstream.on('error', () => answer.destroy());
}

function headersOf(incoming: IncomingMessage, body: Buffer | undefined, hops: number): string[] {
  const headers: string[] = [];
  const dropped = connectionHeaders(incoming.headers.connection);
  const { rawHeaders } = incoming;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || dropped.has(lower) || lower === 'content-length') continue;
    headers.push(name, rawHeaders[index + 1] ?? '');
  }
  headers.push(hopsHeader, `${hops};primary`);
  const address = incoming.socket.remoteAddress;
  if (hops === 1 && address !== undefined && incoming.headers['x-forwarded-for'] === undefined)
    headers.push('X-Forwarded-For', address);
  headers.push(...framingOf(incoming, body), 'Connection', 'keep-alive');
  return headers;
}

/**
 * Said anew from what was understood, and always: what a client says of its framing must not get lost, or its body would be
 * read as the next request of a connection that others use too.
 */
function framingOf({ headers, method }: IncomingMessage, body: Buffer | undefined): string[] {
  if (body === undefined && headers['transfer-encoding'] !== undefined)
    return ['Transfer-Encoding', 'chunked'];
  const length = body?.length ?? headers['content-length'] ?? 0;
  // Of the other methods, Node.js would say that the body is chunked.
  if (Number(length) === 0 && isReading(method)) return [];
  return ['Content-Length', String(length)];
}

/**
 * How often a request was passed on; what is not of the form counts as never, and what came from elsewhere than this machine:
 * a tunnel ends at the node, which connects to the app from here.
 */
export function hopsOf({ headers, socket }: IncomingMessage): number {
  const text = headers[hopsHeader];
  if (text === undefined || !nodeAddresses.has(socket.remoteAddress ?? '')) return 0;
  return Number(/^(\d{1,2});(?:primary|here)$/.exec(String(text))?.[1] ?? 0);
}

/** The headers that `Connection` names are for this connection only, but for what a message is not understood without. */
function connectionHeaders(value: string | undefined): ReadonlySet<string> {
  if (value === undefined) return new Set();
  const names = value.split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => !ofTheMessage.has(name)));
}
