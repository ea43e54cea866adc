import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { dialPeer } from './dial-peer.ts';
import { type FromPeer, type PeerInfo, peersMax, peerUpgrade } from './frames.ts';
import { PeerLink, type PeerLinkHandlers } from './peer-link.ts';
import { switchProtocol } from './upgrade.ts';

const lookMs = 250;
/** While others are known, the replication and the lease are asked at every so many looks. */
const askEvery = 4;
/** How often nodes tell each other whom they are linked with, when nothing changes: two that were long apart have forgotten each other. */
const tellMs = 60_000;
/** A node that is heard of by nobody for this long is not looked for any more. */
const forgetAfterMs = 600_000;
/** The other side of a pair makes the link when the one that should has not for this long: it may not reach this node. */
const otherSideAfterMs = 3_000;
const retryFirstMs = 100;
const retryMaxMs = 3_000;

export type PeersParts = Omit<PeerLinkHandlers, 'opened' | 'closed'> & {
  readonly secret: string | undefined;
  /** The nodes that the replication and the lease know of. */
  known(): readonly PeerInfo[];
  up(link: PeerLink): void;
  down(link: PeerLink): void;
  warn(message: string, fields: Record<string, unknown>): void;
};

type Peer = {
  info: PeerInfo;
  heardMs: number;
  link: PeerLink | undefined;
  /** Since when there is no link. */
  downMs: number;
  dialing: boolean;
  nextDialMs: number;
  readonly backoff: Backoff;
  problem: string;
};

/**
 * The other nodes of the app, each linked with each. They come from the replication, from the lease record, and from what linked
 * nodes tell of those that they are linked with; that goes on while nobody leads.
 */
export class Peers {
  readonly #parts: PeersParts;
  readonly #peers = new Map<string, Peer>();
  /** All links, those without a hello yet too. */
  readonly #links = new Set<PeerLink>();
  /** For whom this node made a link, whoever answered. */
  readonly #dialed = new WeakMap<PeerLink, Peer>();
  readonly #handlers: PeerLinkHandlers;
  readonly #stopping = new AbortController();
  #look: NodeJS.Timeout | undefined;
  #toldMs = 0;
  #looks = 0;

  constructor(parts: PeersParts) {
    this.#parts = parts;
    const { identity } = parts;
    this.#handlers = {
      identity,
      clockMs: () => parts.clockMs(),
      opened: (link) => this.#opened(link),
      received: (link, frame, body) => this.#received(link, frame, body),
      closed: (link, error) => this.#closed(link, error),
    };
  }

  start(): void {
    this.#look = setInterval(() => this.#lookAround(), lookMs);
  }

  stop(): void {
    clearInterval(this.#look);
    this.#stopping.abort();
    for (const link of this.#links) link.close('the node is stopping');
  }

  /** Those that are up. */
  links(): PeerLink[] {
    return [...this.#peers.values()].flatMap(({ link }) => (link?.isOpen ? [link] : []));
  }

  /** `candidate` is left out of one that is not linked. */
  describe(): (PeerInfo & { connected: boolean; candidate?: boolean | undefined })[] {
    return [...this.#peers.values()].map(({ info, link }) => {
      const { node, region, url } = info;
      const isOpen = link?.isOpen === true;
      return { node, region, url, connected: isOpen, ...(isOpen ? { candidate: link.peer.candidate } : {}) };
    });
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!switchProtocol(request, socket, peerUpgrade)) return;
    if (this.#stopping.signal.aborted || this.#links.size > 2 * peersMax) socket.destroy();
    else this.#links.add(new PeerLink(socket, head, false, this.#handlers));
  }

  #learn(info: PeerInfo): Peer | undefined {
    const { identity } = this.#parts;
    if (info.node === identity.node || info.node === '') return undefined;
    const known = this.#peers.get(info.node);
    if (known) {
      known.heardMs = monotonicMs();
      // A link says more of where a node is than others do.
      if (info.url !== '' && !known.link) known.info = info;
      return known;
    }
    if (this.#peers.size >= peersMax) return undefined;
    const nowMs = monotonicMs();
    const backoff = new Backoff(retryFirstMs, retryMaxMs);
    const peer: Peer = {
      info,
      heardMs: nowMs,
      link: undefined,
      downMs: nowMs,
      dialing: false,
      nextDialMs: 0,
      backoff,
      problem: '',
    };
    this.#peers.set(info.node, peer);
    return peer;
  }

  #lookAround(): void {
    this.#looks += 1;
    if (this.#peers.size === 0 || this.#looks % askEvery === 0)
      for (const info of this.#parts.known()) this.#learn(info);
    const nowMs = monotonicMs();
    if (nowMs - this.#toldMs > tellMs) this.#tellPeers();
    for (const [node, peer] of this.#peers) {
      if (peer.link || peer.dialing) continue;
      if (nowMs - peer.heardMs > forgetAfterMs) this.#peers.delete(node);
      else if (this.#isTimeToDial(peer, nowMs)) void this.#dial(peer);
    }
  }

  #isTimeToDial(peer: Peer, nowMs: number): boolean {
    if (peer.info.url === '' || nowMs < peer.nextDialMs) return false;
    return this.#parts.identity.node < peer.info.node || nowMs - peer.downMs > otherSideAfterMs;
  }

  async #dial(peer: Peer): Promise<void> {
    peer.dialing = true;
    try {
      const { secret } = this.#parts;
      const { socket, head } = await dialPeer(peer.info.url, secret, this.#stopping.signal);
      if (this.#stopping.signal.aborted) {
        socket.destroy();
        return;
      }
      const link = new PeerLink(socket, head, true, this.#handlers);
      this.#links.add(link);
      this.#dialed.set(link, peer);
    } catch (error) {
      if (error instanceof SkeinError && error.code !== 'NODE_UNREACHABLE') this.#complain(peer, error);
    } finally {
      peer.dialing = false;
      peer.nextDialMs = monotonicMs() + peer.backoff.nextMs();
    }
  }

  #complain(peer: Peer, error: unknown): void {
    const problem = messageOf(error);
    if (problem === peer.problem) return;
    peer.problem = problem;
    this.#parts.warn('no link of the bus with a node; it is tried again', {
      node: peer.info.node,
      reason: problem,
    });
  }

  #opened(link: PeerLink): void {
    const { node, region, url, run } = link.peer;
    const peer = this.#learn({ node, region, url });
    if (!peer) throw new SkeinError('BUS_OVERLOADED', `This node is linked with ${peersMax} others already.`);
    const before = peer.link;
    if (before?.isOpen && before.peer.run === run && this.#isPreferred(before, link)) {
      // Both sides made one at once, and both keep the same.
      link.close('there is a link already');
      return;
    }
    peer.link = link;
    peer.info = { node, region, url };
    peer.backoff.reset();
    peer.problem = '';
    before?.close('another link took its place');
    this.#parts.up(link);
    this.#tellPeers();
  }

  /** One that was made by the node with the lesser name stays, against one that the other made. */
  #isPreferred(before: PeerLink, link: PeerLink): boolean {
    if (before.isDialed === link.isDialed) return false;
    const isLesser = this.#parts.identity.node < before.peer.node;
    return before.isDialed === isLesser;
  }

  #received(link: PeerLink, frame: FromPeer, body: string | undefined): void {
    if (this.#peers.get(link.peer.node)?.link !== link) return;
    if (frame.t === 'peers') for (const info of frame.peers) this.#learn(info);
    else this.#parts.received(link, frame, body);
  }

  #closed(link: PeerLink, error: SkeinError | undefined): void {
    this.#links.delete(link);
    const dialed = this.#dialed.get(link);
    if (error && dialed) this.#complain(dialed, error);
    const peer = this.#peers.get(link.peer.node);
    if (peer?.link !== link) {
      // What it carried is over; the link in its place has been told of already.
      if (link.peer.node !== '') this.#parts.down(link);
      return;
    }
    peer.link = undefined;
    peer.downMs = monotonicMs();
    peer.heardMs = peer.downMs;
    this.#parts.down(link);
    if (!this.#stopping.signal.aborted) this.#tellPeers();
  }

  #tellPeers(): void {
    this.#toldMs = monotonicMs();
    const links = this.links();
    const peers = links.map(({ peer: { node, region, url } }) => ({ node, region, url }));
    for (const link of links) link.send({ t: 'peers', peers });
  }
}
