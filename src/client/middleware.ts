import { timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';
import { Answer } from './answer.ts';
import { Exchange } from './exchange.ts';
import { Forward, hopsHeader } from './forward.ts';
import { prepareToHold } from './held-response.ts';
import { isReading } from './is-reading.ts';
import type { LocalNode } from './local-node.ts';
import { type MiddlewareOptions, namesFor, type Settings, settingsOf } from './middleware-options.ts';
import { cookieName, headerName, sessionOf, type Txids } from './position-text.ts';

/** Carried by a request that came through this node's door, which has done all of this already. Its value is the app's token. */
const doorHeader = 'skein-door';

/** By the process and not by the module: there may be two copies of this package. */
const handled: unique symbol = Symbol.for('skein.handled') as never;

/**
 * What the door does, for one request of a `node:http` server: the same for every framework. Where the app is to answer, `next`
 * is called; else the answer comes from here, and `next` never is.
 */
export class Middleware {
  readonly #node: LocalNode | undefined;
  readonly #settings: Settings;
  readonly #forward: Forward | undefined;
  readonly #looksAtPaths: boolean;
  readonly #token: Buffer | undefined;

  constructor(node: LocalNode | undefined, options: MiddlewareOptions = {}) {
    this.#node = node;
    if (node) prepareToHold();
    this.#settings = settingsOf(options);
    this.#forward = node && new Forward(node, this.#settings.primaryWaitMs);
    this.#token = node?.place.token === undefined ? undefined : Buffer.from(node.place.token);
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
    else if (!isRead || request.headers[hopsHeader] !== undefined || alwaysForward?.test(path))
      exchange.onPrimary();
    else this.#read(node, exchange, request, response);
  }

  /** Lets a reader who wrote elsewhere in as soon as this node has what it wrote. */
  #read(node: LocalNode, exchange: Exchange, request: IncomingMessage, response: ServerResponse): void {
    const wanted = sessionOf(request, namesFor(this.#settings, node.positions));
    if (!wanted || node.positions.hasReached(wanted)) {
      exchange.run();
    } else if (node.role.isPrimary) {
      // What the primary does not have is nowhere: a session cannot wait for it.
      if (request.headers[headerName] === undefined)
        response.appendHeader('set-cookie', `${cookieName}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax`);
      exchange.run();
    } else {
      void this.#catchUp(node, exchange, response, wanted);
    }
  }

  async #catchUp(
    node: LocalNode,
    exchange: Exchange,
    response: ServerResponse,
    wanted: Txids,
  ): Promise<void> {
    const gone = new AbortController();
    const leave = () => gone.abort();
    response.once('close', leave);
    const hasReached = await node.reaches(wanted, this.#settings.readWaitMs, gone.signal);
    response.off('close', leave);
    if (gone.signal.aborted) return;
    if (hasReached) exchange.run();
    else exchange.onPrimary();
  }

  /** Takes the mark away, true or not: the app has no use for it, and its token must not be seen. */
  #cameByDoor(request: IncomingMessage): boolean {
    const given = request.headers[doorHeader];
    if (given === undefined) return false;
    delete request.headers[doorHeader];
    const { rawHeaders } = request;
    for (let index = rawHeaders.length - 2; index >= 0; index -= 2)
      if (rawHeaders[index]?.toLowerCase() === doorHeader) rawHeaders.splice(index, 2);
    const token = this.#token;
    const bytes = Buffer.from(String(given));
    return token !== undefined && bytes.length === token.length && timingSafeEqual(bytes, token);
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
