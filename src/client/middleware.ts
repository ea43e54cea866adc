import { createHmac, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';
import { Answer } from './answer.ts';
import { Exchange } from './exchange.ts';
import { Forward, hopsHeader, hopsOf } from './forward.ts';
import { prepareToHold } from './held-response.ts';
import { isReading } from './is-reading.ts';
import type { LocalNode } from './local-node.ts';
import { type MiddlewareOptions, namesFor, type Settings, settingsOf } from './middleware-options.ts';
import { formatSession, headerName, type Session, sessionOf } from './position-text.ts';
import { passReader } from './reader-gate.ts';
import { sessionCookie } from './session-cookie.ts';

/** Carried by a request that came through this node's door, which has done all of this already: its value is made with the app's token. */
const doorHeader = 'skein-door';

/** By the process and not by the module: there may be two copies of this package. */
const handled: unique symbol = Symbol.for('skein.handled') as never;

type Reader = {
  readonly node: LocalNode;
  readonly exchange: Exchange;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Another node has sent it: it belongs to whoever leads. */
  readonly isForPrimary: boolean;
};

/**
 * What the door does, for one request of a `node:http` server: the same for every framework. Where the app is to answer, `next`
 * is called; else the answer comes from here, and `next` never is.
 */
export class Middleware {
  readonly #node: LocalNode | undefined;
  readonly #settings: Settings;
  readonly #forward: Forward | undefined;
  readonly #looksAtPaths: boolean;
  readonly #mark: Buffer | undefined;

  constructor(node: LocalNode | undefined, options: MiddlewareOptions = {}) {
    this.#node = node;
    if (node) prepareToHold();
    this.#settings = settingsOf(options);
    this.#forward = node && new Forward(node, this.#settings.primaryWaitMs);
    this.#mark = node?.place.token === undefined ? undefined : markOf(node.place.token);
    const { alwaysForward, passthrough, healthPath } = this.#settings;
    this.#looksAtPaths = Boolean(alwaysForward ?? passthrough ?? healthPath);
  }

  handle(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    const node = this.#node;
    const forward = this.#forward;
    // HTTP/2 has other classes: what holds for `node:http` does not hold there.
    if (!node || !forward || isHandled(request) || !(response instanceof ServerResponse)) {
      next();
      return;
    }
    const { headers } = request;
    const isRead = isReading(request.method);
    const exchange = new Exchange({
      request,
      response,
      next,
      node,
      forward,
      settings: this.#settings,
      isRead,
    });
    const isPlain =
      isRead &&
      !this.#looksAtPaths &&
      headers.cookie === undefined &&
      headers[headerName] === undefined &&
      headers[doorHeader] === undefined &&
      headers[hopsHeader] === undefined;
    if (isPlain) exchange.run();
    else this.#handleMarked(node, exchange, request, response, isRead);
  }

  #handleMarked(
    node: LocalNode,
    exchange: Exchange,
    request: IncomingMessage,
    response: ServerResponse,
    isRead: boolean,
  ): void {
    const path = this.#looksAtPaths ? pathOf(request.url) : '';
    const { passthrough, alwaysForward, healthPath } = this.#settings;
    exchange.isByDoor = this.#cameByDoor(request);
    if (exchange.isByDoor || passthrough?.test(path)) exchange.run();
    else if (isRead && healthPath === path) void this.#answerHealth(node, response);
    else if (!isRead || alwaysForward?.test(path)) exchange.onPrimary();
    else this.#read({ node, exchange, request, response, isForPrimary: hopsOf(request) > 0 });
  }

  /** Lets a reader who wrote elsewhere in as soon as this node has what it wrote. */
  #read(reader: Reader): void {
    const { node, exchange, request, isForPrimary } = reader;
    const wanted = sessionOf(request, namesFor(this.#settings, node.positions));
    const isElsewhere = isForPrimary && !node.role.isPrimary;
    if (wanted && !isElsewhere && !node.positions.hasReached(wanted)) void this.#catchUp(reader, wanted);
    else if (isForPrimary) exchange.onPrimary();
    else exchange.run();
  }

  async #catchUp(reader: Reader, wanted: Session): Promise<void> {
    const { node, exchange, request, response, isForPrimary } = reader;
    const { readWaitMs } = this.#settings;
    const gone = new AbortController();
    const leave = () => gone.abort();
    response.once('close', leave);
    const passage = await passReader(node, wanted, readWaitMs, gone.signal);
    response.off('close', leave);
    if (gone.signal.aborted) return;
    if (passage.kind === 'late') {
      if (!node.role.isPrimary) exchange.onPrimary(() => void this.#catchUp(reader, wanted));
      else refuseReader(response, readWaitMs);
      return;
    }
    // A session cannot wait for what is nowhere.
    if (passage.kind === 'gone' && request.headers[headerName] === undefined) {
      const text = formatSession(passage.left, this.#settings.database) ?? '';
      response.appendHeader('set-cookie', sessionCookie(text, request));
    }
    if (isForPrimary) exchange.onPrimary();
    else exchange.run();
  }

  /** Takes the mark away, true or not: the app has no use for it, and it is not to be seen. */
  #cameByDoor(request: IncomingMessage): boolean {
    const given = request.headers[doorHeader];
    if (given === undefined) return false;
    delete request.headers[doorHeader];
    const { rawHeaders } = request;
    for (let index = rawHeaders.length - 2; index >= 0; index -= 2)
      if (rawHeaders[index]?.toLowerCase() === doorHeader) rawHeaders.splice(index, 2);
    const mark = this.#mark;
    const bytes = Buffer.from(String(given));
    return mark !== undefined && bytes.length === mark.length && timingSafeEqual(bytes, mark);
  }

  async #answerHealth(node: LocalNode, response: ServerResponse): Promise<void> {
    const health = await node.api.call('GET', '/health').catch(() => undefined);
    const isHealthy = health?.status === 200;
    const answer = new Answer(response);
    if (answer.isGone) return;
    const [status, message] = isHealthy ? [200, 'OK'] : [503, 'Service Unavailable'];
    answer.refuse(
      status,
      message,
      isHealthy ? 'OK' : JSON.stringify(health?.body ?? 'the node does not answer'),
    );
  }
}

/** Not the token itself: whatever shows a request's headers would give it away. */
function markOf(token: string): Buffer {
  return Buffer.from(createHmac('sha256', token).update(doorHeader).digest('hex'));
}

function refuseReader(response: ServerResponse, waitMs: number): void {
  const text = `This node does not have what you have written last, after ${waitMs} ms. Try again.`;
  new Answer(response).refuse(504, 'Gateway Timeout', text, ['retry-after', '1']);
}

/** Marks it, so that a request is handled once where both the app and the preload have a middleware. */
function isHandled(request: IncomingMessage & { [handled]?: true }): boolean {
  if (request[handled]) return true;
  request[handled] = true;
  return false;
}

function pathOf(url = '/'): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}
