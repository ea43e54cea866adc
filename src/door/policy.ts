import { createHmac } from 'node:crypto';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { Config } from '../config/config.ts';
import { DoorFigures } from './door-figures.ts';
import { doorHealth } from './door-health.ts';
import type { DoorNode } from './door-node.ts';
import { compileGlobs } from './glob.ts';
import { HeldWrites, heldMax } from './held-writes.ts';
import { againHeader, hopHeader, hopLine, parseHop } from './hop.ts';
import type { NodePools } from './node-pools.ts';
import { ReadGate } from './read-gate.ts';
import { type ReplayOrder, replayOrderOf, replaySourceLine } from './replay-order.ts';
import type { ResponseHead } from './response-head.ts';
import type { Answer, Forwarding, Review, Route, RoutedRequest, Router } from './route.ts';
import {
  formatSession,
  parseSession,
  positionCookieOf,
  positionHeader,
  type Session,
  setCookieLine,
} from './session-position.ts';
import { stopping } from './stopping.ts';
import { WriteReceipts, wroteHeader } from './write-receipts.ts';
import { WritesUnderWay } from './writes-under-way.ts';

/** Methods that do not change anything, as HTTP has it. */
const reading = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const healthPaths = new Set(['/skein/health', '/litefs/health']);
const hopsMax = 10;
/** An app that takes its node for a replica although it leads hears of that in a moment. */
const appPauseMs = 50;

/** Decides where each request goes: reads to the app of this node, writes to the primary's. */
export class Policy implements Router {
  readonly figures = new DoorFigures();
  readonly writes = new WritesUnderWay();
  readonly #node: DoorNode;
  readonly #http: Config['http'];
  readonly #pools: NodePools;
  readonly #isPassedThrough: (path: string) => boolean;
  readonly #isForwarded: (path: string) => boolean;
  readonly #gate: ReadGate;
  readonly #receipts: WriteReceipts;
  /** By it the library in the app knows what came through this door. The token itself would be seen by whoever sees headers. */
  readonly #markLine: string;
  readonly #held: HeldWrites;

  constructor(node: DoorNode, http: Config['http'], pools: NodePools) {
    this.#node = node;
    this.#http = http;
    this.#pools = pools;
    this.#isPassedThrough = compileGlobs(http.passthrough);
    this.#isForwarded = compileGlobs(http.alwaysForward);
    this.#gate = new ReadGate(node, http.readWaitMs, this.figures);
    this.#receipts = new WriteReceipts(node, http, this.figures);
    this.#held = new HeldWrites(() => this.#hasTaker);
    const mark = createHmac('sha256', node.appToken).update('skein-door').digest('hex');
    this.#markLine = `skein-door: ${mark}\r\n`;
  }

  route(request: RoutedRequest): Route | Promise<Route> {
    const { head, isFromNode } = request;
    // The node gives up the lead in a moment; the other door finds who has it then.
    if (isFromNode && request.isDraining) return stopping(request.againMark);
    if (this.#isPassedThrough(head.path)) return this.#toApp('');
    if (healthPaths.has(head.path)) return doorHealth(this.#node, this.#pools.app, this.#http.maxLagMs);
    const hop = isFromNode ? parseHop(head.fields.get(hopHeader)) : undefined;
    const hops = hop?.count ?? 0;
    const isWrite = !reading.has(head.method) || this.#isForwarded(head.path);
    if (hop?.intent === 'here')
      return isWrite ? this.#writeHere(request, hops, '') : this.#readHere(request, hops, '');
    if (isWrite || hop) return this.#write(request, hops, '');
    return this.#read(request);
  }

  #read(request: RoutedRequest): Route | Promise<Route> {
    const session = this.#sessionOf(request);
    if (session.position.size === 0 || this.#gate.isOpen(session)) return this.#readHere(request, 0, '');
    return this.#readLater(request, session);
  }

  async #readLater(request: RoutedRequest, session: Session): Promise<Route> {
    const found = await this.#gate.pass(session, request.signal);
    if (found === session) return this.#readHere(request, 0, '');
    // Some of it does not exist any more: what that stood for is lost, and the client is to go on from what there is.
    if (found) {
      const value = formatSession(found, this.#http.database);
      return this.#readHere(request, 0, '', setCookieLine(value, request.isSecure));
    }
    const { readWaitMs } = this.#http;
    const body = `This node does not have what you have written last, after ${readWaitMs} ms. Try again.\n`;
    return { kind: 'answer', status: 504, lines: 'Retry-After: 1\r\n', body };
  }

  #readHere(request: RoutedRequest, hops: number, lines: string, responseLines?: string): Forwarding {
    return this.#toApp(lines, () => {
      const begun = this.#node.replication();
      return {
        review: (response) => {
          const replay = this.#replayOf(request, response, hops);
          if (replay) return replay;
          const wrote = response.fields.get(wroteHeader);
          if (wrote !== undefined)
            return this.#receipts.reviewWrote(request, begun, wrote, this.#sessionOf(request));
          return responseLines === undefined ? undefined : { lines: responseLines };
        },
      };
    });
  }

  #write(request: RoutedRequest, hops: number, lines: string): Route | Promise<Route> {
    return this.#writeNow(request, hops, lines) ?? this.#hold(request, hops, lines);
  }

  get #hasTaker(): boolean {
    return this.#node.canWrite() || this.#node.primary()?.isHere === false;
  }

  /** Undefined while nobody can take it. */
  #writeNow(request: RoutedRequest, hops: number, lines: string): Route | undefined {
    if (this.#node.canWrite()) {
      const here = this.#writeHere(request, hops, lines);
      return { ...here, send: () => (this.#node.canWrite() ? here.send() : undefined) };
    }
    const primary = this.#node.primary();
    if (!primary || primary.isHere) return undefined;
    if (hops >= hopsMax) return refusal(508, `The request was passed on ${hops} times. Try again.`);
    const { forward } = this.#http;
    if (forward === 'fly-replay' && !request.isFromNode)
      return { kind: 'answer', status: 409, lines: `fly-replay: instance=${primary.node}\r\n`, body: '' };
    this.figures.forwarded += 1;
    return {
      kind: 'forward',
      pool: this.#pools.to(primary.url),
      lines: lines + hopLine({ count: hops + 1, intent: 'primary' }),
      isToNode: true,
      send: () => ({ review: reviewOfNode }),
    };
  }

  /** Until somebody leads: a handoff takes a moment, the loss of a primary as long as its lease. */
  async #hold(request: RoutedRequest, hops: number, lines: string): Promise<Route> {
    const { primaryWaitMs } = this.#http;
    if (this.#held.isFull) return refusal(503, `${heldMax} requests wait for a primary already.`);
    this.figures.held += 1;
    const untilMs = monotonicMs() + primaryWaitMs;
    while (monotonicMs() < untilMs && !request.signal.aborted) {
      await this.#held.wait(untilMs - monotonicMs(), request.signal);
      const route = this.#writeNow(request, hops, lines);
      if (route) return route;
    }
    this.figures.unheld += 1;
    return refusal(503, `No node has come to lead within ${primaryWaitMs} ms. Nothing was written.`);
  }

  #writeHere(request: RoutedRequest, hops: number, lines: string): Forwarding {
    return this.#toApp(lines, () => {
      const before = this.#receipts.before();
      return {
        settled: this.writes.begin(),
        review: (response) =>
          this.#replayOf(request, response, hops) ??
          this.#receipts.review(request, before, this.#sessionOf(request)),
      };
    });
  }

  #toApp(lines: string, send: Forwarding['send'] = () => ({})): Forwarding {
    this.figures.local += 1;
    return {
      kind: 'forward',
      pool: this.#pools.app,
      lines: lines + this.#markLine,
      isToNode: false,
      send,
    };
  }

  /** What the client knows to be written. */
  #sessionOf({ head }: RoutedRequest): Session {
    const { fields } = head;
    const text = fields.get(positionHeader) ?? positionCookieOf(fields.get('cookie'));
    if (text === undefined) return nothingKnown;
    return parseSession(text, this.#http.database, this.#plainDatabase());
  }

  /** The database that a position without a name is of. */
  #plainDatabase(): string | undefined {
    if (this.#http.database !== undefined) return this.#http.database;
    const positions = this.#node.replication()?.positions();
    return positions?.size === 1 ? positions.keys().next().value : undefined;
  }

  /** Undefined where the app's response asks for no replay, or for one that is not this cluster's. */
  #replayOf(
    request: RoutedRequest,
    { fields }: ResponseHead,
    hops: number,
  ): Review | undefined | Promise<Review | undefined> {
    const order = this.#http.forward === 'direct' ? replayOrderOf(fields) : undefined;
    if (!order || (order.app !== undefined && order.app !== this.#node.app)) return undefined;
    this.figures.replayed += 1;
    return this.#replay(request, order, hops);
  }

  async #replay(request: RoutedRequest, order: ReplayOrder, hops: number): Promise<Review | undefined> {
    const source = replaySourceLine(
      { node: this.#node.name, region: this.#node.region },
      order.state,
      wallClockMs(),
    );
    const primary = this.#node.primary();
    const toPrimary = async () => ({ replay: await this.#write(request, hops, source) });
    const isPrimarys = order.toPrimary || (order.instance !== undefined && order.instance === primary?.node);
    if (isPrimarys) {
      if (this.#node.canWrite()) await sleep(appPauseMs, request.signal);
      const find = () => this.#write(request, hops, source);
      return { replay: await find(), find };
    }
    const isOwn = order.instance === this.#node.name || order.regions.includes(this.#node.region);
    // At the primary it may write, whatever way it was sent there.
    if (isOwn && !order.elsewhere)
      return primary?.isHere ? toPrimary() : { replay: this.#readHere(request, hops, source) };
    const peers = (await this.#node.peers()).filter(({ node }) => node !== this.#node.name);
    const found =
      order.instance !== undefined
        ? peers.find(({ node }) => node === order.instance)
        : order.regions.length > 0
          ? order.regions.flatMap((region) => peers.filter((peer) => peer.region === region))[0]
          : (peers.find(({ node }) => node === primary?.node) ?? peers[0]);
    // A proxy further out may know it.
    if (!found) return undefined;
    if (found.node === primary?.node) return toPrimary();
    if (hops >= hopsMax) return { replay: refusal(508, `The request was passed on ${hops} times.`) };
    return {
      replay: {
        kind: 'forward',
        pool: this.#pools.to(found.url),
        lines: source + hopLine({ count: hops + 1, intent: 'here' }),
        isToNode: true,
        send: () => ({}),
      },
    };
  }
}

const nothingKnown: Session = { epoch: 0, position: new Map() };

/** Only the other door can say so: an app may have done something. */
function reviewOfNode({ status, fields }: ResponseHead, againMark: string | undefined): Review | undefined {
  const isAgain = status === 503 && againMark !== undefined && fields.get(againHeader) === againMark;
  return isAgain ? { again: true } : undefined;
}

function refusal(status: number, message: string): Answer {
  return { kind: 'answer', status, lines: 'Retry-After: 1\r\n', body: `${message}\n` };
}
