import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { busUpgrade } from '../client/bus-frames.ts';
import { HybridClock } from '../client/hybrid-clock.ts';
import type { Replication } from '../node/replication.ts';
import { BusFigures } from './bus-figures.ts';
import { Caches } from './caches.ts';
import { CallAnswers } from './call-answers.ts';
import { CallRunner } from './call-runner.ts';
import { Calls } from './calls.ts';
import { Channels } from './channels.ts';
import type { FromPeer, FromProcess, PeerInfo } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import { Peers } from './peers.ts';
import { ProcessLink } from './process-link.ts';
import { switchProtocol } from './upgrade.ts';

const processesMax = 256;
/** How long a handoff and a stop wait for functions that run on the primary. */
const pauseMs = 3_000;

export type BusParts = {
  readonly app: string;
  readonly self: PeerInfo & { readonly candidate: boolean };
  readonly secret: string | undefined;
  replication(): Replication | undefined;
  /** Whether this node leads, and the app may write. */
  mayWrite(): boolean;
  epoch(): number;
  /** Has databases found that the app has just made. */
  lookForNew(replication: Replication): Promise<void>;
  /** The nodes that the replication and the lease know of. */
  known(): readonly PeerInfo[];
  warn(message: string, fields: Record<string, unknown>): void;
};

/** How much of everything there is at this moment. */
export type BusSizes = {
  readonly nodes: number;
  readonly processes: number;
  /** Calls that processes of this node wait for, and functions that run here. */
  readonly calls: number;
  readonly runs: number;
  readonly caches: ReturnType<Caches['sizes']>;
};

/** What the app's processes of all nodes say to each other, by way of their nodes: calls on the primary, caches, channels. */
export class Bus {
  readonly figures = new BusFigures();
  readonly #parts: BusParts;
  readonly #clock: HybridClock;
  readonly #peers: Peers;
  readonly #runner: CallRunner;
  readonly #calls: Calls;
  readonly #answers: CallAnswers;
  readonly #caches: Caches;
  readonly #channels: Channels;
  readonly #processes = new Set<ProcessLink>();
  /** By process and id: calls that it waits for. */
  readonly #placed = new Map<ProcessLink, Map<number, AbortController>>();
  #isLeaving = false;
  #isStopping = false;

  constructor(parts: BusParts) {
    this.#parts = parts;
    const { app, self, secret } = parts;
    this.#clock = new HybridClock(self.node, wallClockMs);
    this.#channels = new Channels(() => this.#peers.links(), this.figures);
    this.#caches = new Caches(() => this.#peers.links(), this.#clock);
    this.#runner = new CallRunner({
      replication: () => parts.replication(),
      mayWrite: () => parts.mayWrite(),
      lookForNew: (replication) => parts.lookForNew(replication),
      changed: () => this.#leadChanged(),
    });
    this.#answers = new CallAnswers(this.#runner);
    this.#peers = new Peers({
      identity: { ...self, app, run: randomUUID() },
      secret,
      clockMs: () => this.#clock.nowMs,
      known: () => parts.known(),
      up: (link) => this.#up(link),
      down: (link) => this.#down(link),
      received: (link, frame, body) => this.#receivedFromPeer(link, frame, body),
      warn: (message, fields) => parts.warn(message, fields),
    });
    this.#calls = new Calls({
      runner: this.#runner,
      replication: () => parts.replication(),
      epoch: () => parts.epoch(),
      links: () => this.#peers.links(),
    });
  }

  start(): void {
    this.#peers.start();
    this.#caches.start();
  }

  /** Ends all links. */
  stop(): void {
    this.#isStopping = true;
    for (const placed of this.#placed.values()) for (const ending of placed.values()) ending.abort();
    this.#peers.stop();
    this.#channels.stop();
    this.#caches.stop();
    for (const process of this.#processes) process.close();
  }

  /** Calls run here from now on: this node leads, and its processes run. */
  resume(): void {
    if (!this.#isLeaving) this.#runner.resume();
  }

  /** Holds calls, and waits for those that run here, within bounds. */
  pause(): Promise<void> {
    return this.#runner.pause(pauseMs);
  }

  /** The same before the node stops: no call runs here any more. */
  leave(): Promise<void> {
    this.#isLeaving = true;
    return this.pause();
  }

  /** Whether this node may write has changed, maybe. */
  noteLead(): void {
    this.#leadChanged();
  }

  sizes(): BusSizes {
    return {
      nodes: this.#peers.links().length,
      processes: this.#processes.size,
      calls: this.#calls.inFlight,
      runs: this.#runner.running,
      caches: this.#caches.sizes(),
    };
  }

  peers(): ReturnType<Peers['describe']> {
    return this.#peers.describe();
  }

  acceptPeer(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#peers.accept(request, socket, head);
  }

  acceptProcess(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!switchProtocol(request, socket, busUpgrade)) return;
    if (this.#isStopping || this.#processes.size >= processesMax) {
      const message = this.#isStopping
        ? 'the node is stopping'
        : `it serves ${processesMax} processes already`;
      socket.end(`${JSON.stringify({ t: 'refuse', code: 'BUS_OVERLOADED', message })}\n`);
      return;
    }
    const { node, region } = this.#parts.self;
    const link = new ProcessLink(socket, head, {
      node,
      region,
      clockMs: () => this.#clock.nowMs,
      received: (process, frame, body) => this.#receivedFromProcess(process, frame, body),
      closed: (process) => this.#processGone(process),
    });
    this.#processes.add(link);
    this.#runner.add(link);
  }

  #receivedFromProcess(process: ProcessLink, frame: FromProcess, body: string | undefined): void {
    switch (frame.t) {
      case 'ping':
        this.#clock.hear(frame.clockMs);
        break;
      case 'serve':
        this.#runner.served();
        break;
      case 'call':
        void this.#place(process, frame, body ?? '[]');
        break;
      case 'cancel':
        this.#placed.get(process)?.get(frame.id)?.abort();
        break;
      case 'ran':
        this.#runner.ran(process, frame.id, { text: body, error: frame.error });
        break;
      case 'subscribe':
        this.#channels.subscribe(process, frame.channel);
        break;
      case 'unsubscribe':
        this.#channels.unsubscribe(process, frame.channel);
        break;
      case 'publish':
        this.#channels.publish(process, frame.channel, body ?? 'null');
        break;
      case 'dropped':
        this.#channels.unsent(process, frame.channel, frame.count);
        break;
      case 'open':
        this.#caches.open(process, frame);
        break;
      case 'put':
        this.#caches.putFromProcess(process, frame, body);
        break;
      case 'clear':
        this.#caches.clearFromProcess(process, frame);
        break;
    }
  }

  async #place(
    process: ProcessLink,
    frame: Extract<FromProcess, { t: 'call' }>,
    args: string,
  ): Promise<void> {
    const { id, name, timeoutMs, idempotent, nested, durability } = frame;
    const ending = new AbortController();
    const placed = this.#placed.get(process) ?? new Map<number, AbortController>();
    this.#placed.set(process, placed.set(id, ending));
    const timer = setTimeout(() => ending.abort(), timeoutMs);
    const deadlineMs = monotonicMs() + timeoutMs;
    const call = { name, args, idempotent, nested, durability, deadlineMs };
    const outcome = await this.#calls.place(call, process, ending.signal).catch((error: unknown) => {
      this.#parts.warn('a call failed in the node itself', { function: name, reason: messageOf(error) });
      return { kind: 'unknown' } as const;
    });
    clearTimeout(timer);
    placed.delete(id);
    this.figures.ended(outcome);
    if (outcome.kind === 'done') {
      const { durable, error, text } = outcome;
      process.send({ t: 'answer', id, durable, ...(error ? { error } : {}) }, text);
    } else {
      const error = outcome.kind === 'refused' ? outcome.error : unknownOutcome(name);
      process.send({ t: 'answer', id, durable: false, error });
    }
  }

  #processGone(process: ProcessLink): void {
    this.#processes.delete(process);
    this.#runner.remove(process);
    this.#channels.processGone(process);
    this.#caches.processGone(process);
    for (const ending of this.#placed.get(process)?.values() ?? []) ending.abort();
    this.#placed.delete(process);
  }

  #receivedFromPeer(link: PeerLink, frame: FromPeer, body: string | undefined): void {
    switch (frame.t) {
      case 'ping':
        this.#clock.hear(frame.clockMs);
        break;
      case 'lead':
        link.leadsIn = frame.leads ? frame.epoch : undefined;
        this.#calls.changed();
        break;
      case 'call':
        void this.#answer(link, frame, body ?? '[]');
        break;
      case 'cancel':
        this.#answers.cancel(link, frame.id);
        break;
      case 'inquire':
        this.#answers.inquire(link, frame);
        break;
      case 'where':
        void this.#calls.tell(link, frame);
        break;
      case 'outcome':
        this.#calls.takeOutcome(link, frame, body);
        break;
      case 'want':
        this.#channels.want(link, frame.channels);
        break;
      case 'unwant':
        this.#channels.unwant(link, frame.channels);
        break;
      case 'publish':
        this.#channels.takeFromPeer(frame.channel, body ?? 'null');
        break;
      case 'dropped':
        this.#channels.missed(frame.channel, frame.count);
        break;
      case 'keep':
        this.#caches.keep(link, frame.cache, frame.digest);
        break;
      case 'put':
        this.#caches.putFromPeer(frame, body);
        break;
      case 'clear':
        this.#caches.clearFromPeer(frame);
        break;
    }
  }

  async #answer(link: PeerLink, frame: Extract<FromPeer, { t: 'call' }>, args: string): Promise<void> {
    try {
      await this.#answers.answer(link, frame, args);
    } catch (error) {
      this.#parts.warn('a call failed in the node itself', {
        function: frame.name,
        reason: messageOf(error),
      });
    }
  }

  #up(link: PeerLink): void {
    this.#tellLead(link);
    this.#channels.up(link);
    this.#caches.up(link);
    this.#calls.changed();
  }

  #down(link: PeerLink): void {
    this.#calls.lost(link);
    this.#answers.lost(link);
    this.#channels.down(link);
    this.#caches.down(link);
  }

  #leadChanged(): void {
    for (const link of this.#peers.links()) this.#tellLead(link);
    this.#answers.leadChanged();
    this.#calls.changed();
  }

  #tellLead(link: PeerLink): void {
    link.send({ t: 'lead', leads: this.#runner.leads, epoch: this.#parts.epoch() });
  }
}

function unknownOutcome(name: string) {
  return {
    name: 'SkeinError',
    code: 'CALL_OUTCOME_UNKNOWN',
    message: `${name} may have run or not: the primary was lost, or the time was over, before its answer came. Look at the data, or register it with { idempotent: true } if running it twice does no harm.`,
  };
}
