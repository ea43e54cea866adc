import { SkeinError } from '../base/errors.ts';
import type { BusFigures } from './bus-figures.ts';
import { namesPerFrame } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import type { ProcessLink } from './process-link.ts';

const channelsOfProcessMax = 2_000;
const channelsOfPeerMax = 100_000;
/** How often a side that was too slow is told how much it has missed. */
const tellMs = 100;

/** Brings what is published to the processes of this node that subscribe, and to the nodes where somebody does. */
export class Channels {
  readonly #links: () => readonly PeerLink[];
  readonly #subscribers = new Map<string, Set<ProcessLink>>();
  /** By who was too slow, and channel: messages that were dropped and not told of yet. */
  readonly #dropped = new Map<ProcessLink | PeerLink, Map<string, number>>();
  readonly #figures: BusFigures;
  #telling: NodeJS.Timeout | undefined;

  constructor(links: () => readonly PeerLink[], figures: BusFigures) {
    this.#links = links;
    this.#figures = figures;
  }

  /** Throws `BUS_OVERLOADED`. */
  subscribe(process: ProcessLink, channel: string): void {
    if (process.channels.size >= channelsOfProcessMax) {
      throw new SkeinError(
        'BUS_OVERLOADED',
        `A process subscribes to over ${channelsOfProcessMax} channels. Use fewer, and tell in the message whom it is for.`,
      );
    }
    process.channels.add(channel);
    const subscribers = this.#subscribers.get(channel);
    if (subscribers) {
      subscribers.add(process);
      return;
    }
    this.#subscribers.set(channel, new Set([process]));
    for (const link of this.#links()) link.send({ t: 'want', channels: [channel] });
  }

  unsubscribe(process: ProcessLink, channel: string): void {
    process.channels.delete(channel);
    const subscribers = this.#subscribers.get(channel);
    if (!subscribers?.delete(process) || subscribers.size > 0) return;
    this.#subscribers.delete(channel);
    for (const link of this.#links()) link.send({ t: 'unwant', channels: [channel] });
  }

  /** Its own subscribers have the message already. */
  publish(process: ProcessLink, channel: string, text: string): void {
    this.#figures.received += 1;
    for (const link of this.#links()) {
      if (!link.wanted.has(channel)) continue;
      this.#figures.sent += 1;
      link.send({ t: 'publish', channel }, text, () => this.#drop(link, channel));
    }
    this.#deliver(process, channel, text);
  }

  takeFromPeer(channel: string, text: string): void {
    this.#figures.received += 1;
    this.#deliver(undefined, channel, text);
  }

  /** A process of this node could not send this many on. */
  unsent(process: ProcessLink, channel: string, count: number): void {
    this.#figures.dropped += count;
    for (const link of this.#links())
      if (link.wanted.has(channel)) link.send({ t: 'dropped', channel, count });
    for (const other of this.#subscribers.get(channel) ?? [])
      if (other !== process) other.send({ t: 'dropped', channel, count });
  }

  /** A node could not send this many to this one. */
  missed(channel: string, count: number): void {
    for (const process of this.#subscribers.get(channel) ?? [])
      process.send({ t: 'dropped', channel, count });
  }

  /** Throws `BUS_OVERLOADED`. */
  want(link: PeerLink, channels: readonly string[]): void {
    for (const channel of channels) link.wanted.add(channel);
    if (link.wanted.size > channelsOfPeerMax)
      throw new SkeinError('BUS_OVERLOADED', `A node wants over ${channelsOfPeerMax} channels.`);
  }

  unwant(link: PeerLink, channels: readonly string[]): void {
    for (const channel of channels) link.wanted.delete(channel);
  }

  up(link: PeerLink): void {
    const channels = [...this.#subscribers.keys()];
    for (let at = 0; at < channels.length; at += namesPerFrame)
      link.send({ t: 'want', channels: channels.slice(at, at + namesPerFrame) });
  }

  down(link: PeerLink): void {
    this.#dropped.delete(link);
  }

  processGone(process: ProcessLink): void {
    for (const channel of [...process.channels]) this.unsubscribe(process, channel);
    this.#dropped.delete(process);
  }

  stop(): void {
    clearTimeout(this.#telling);
  }

  #deliver(except: ProcessLink | undefined, channel: string, text: string): void {
    for (const process of this.#subscribers.get(channel) ?? []) {
      if (process === except) continue;
      this.#figures.sent += 1;
      process.send({ t: 'message', channel }, text, () => this.#drop(process, channel));
    }
  }

  #drop(to: ProcessLink | PeerLink, channel: string): void {
    this.#figures.dropped += 1;
    const counts = this.#dropped.get(to) ?? new Map<string, number>();
    this.#dropped.set(to, counts.set(channel, (counts.get(channel) ?? 0) + 1));
    this.#telling ??= setTimeout(() => this.#tell(), tellMs);
  }

  #tell(): void {
    this.#telling = undefined;
    for (const [to, counts] of this.#dropped)
      for (const [channel, count] of counts) to.send({ t: 'dropped', channel, count });
    this.#dropped.clear();
  }
}
