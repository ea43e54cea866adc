import type { Duplex } from 'node:stream';
import { type ErrorCode, exitCodes, messageOf, SkeinError } from '../base/errors.ts';
import { lineBytesMax } from '../client/bus-frames.ts';
import { type Line, LineSocket } from '../client/line-socket.ts';
import { type FromPeer, type PeerFrame, type PeerInfo, parseFromPeer, peerProtocol } from './frames.ts';

const queueBytesMax = 8 << 20;
/** As on the stream: silence for longer is a broken link. */
const heartbeatMs = 1_000;
const silenceMaxMs = 5_000;
const helloTimeoutMs = 5_000;

export type PeerIdentity = PeerInfo & {
  readonly app: string;
  readonly run: string;
  readonly candidate?: boolean;
};

/** Who is on the other side. */
type Greeted = PeerInfo & { readonly run: string; readonly candidate?: boolean | undefined };

export type PeerLinkHandlers = {
  readonly identity: PeerIdentity;
  clockMs(): number;
  /** The other side has said who it is. Throws to refuse it. */
  opened(link: PeerLink): void;
  received(link: PeerLink, frame: FromPeer, body: string | undefined): void;
  /** Called once; an error when one side refused the other. */
  closed(link: PeerLink, error: SkeinError | undefined): void;
};

/** One link with another node, whichever of the two made it. */
export class PeerLink {
  readonly #lines: LineSocket;
  readonly #handlers: PeerLinkHandlers;
  readonly #helloTimer: NodeJS.Timeout;
  /** Whether this node made it. */
  readonly isDialed: boolean;
  #peer: Greeted | undefined;
  #refusal: SkeinError | undefined;
  /** Channels that somebody there listens to. */
  readonly wanted = new Set<string>();
  /** Caches of which a copy is kept there. */
  readonly kept = new Set<string>();
  /** The epoch in which it leads, while it runs calls. */
  leadsIn: number | undefined;

  constructor(socket: Duplex, head: Buffer, isDialed: boolean, handlers: PeerLinkHandlers) {
    this.#handlers = handlers;
    this.isDialed = isDialed;
    this.#helloTimer = setTimeout(() => this.close('it did not say who it is'), helloTimeoutMs);
    this.#lines = new LineSocket(socket, head, {
      lineBytesMax,
      queueBytesMax,
      heartbeatMs,
      silenceMaxMs,
      heartbeat: () => ({ t: 'ping', clockMs: handlers.clockMs() }),
      received: (frame, body) => this.#receive(parseFromPeer(frame), body),
      closed: () => {
        clearTimeout(this.#helloTimer);
        handlers.closed(this, this.#refusal);
      },
    });
    const { identity } = handlers;
    this.send({ t: 'hello', protocol: peerProtocol, ...identity });
  }

  get isOpen(): boolean {
    return this.#peer !== undefined && this.#lines.isOpen;
  }

  get hasRoom(): boolean {
    return this.#lines.hasRoom;
  }

  /** Only of a link that has been opened. */
  get peer(): Greeted {
    return this.#peer ?? { node: '', region: '', url: '', run: '' };
  }

  send(frame: PeerFrame, body?: string, dropped?: () => void): boolean {
    return this.#lines.send(frame, body, dropped);
  }

  feed(lines: Iterator<Line>): void {
    this.#lines.feed(lines);
  }

  close(reason: string): void {
    this.#lines.destroy(reason);
  }

  #receive(frame: FromPeer, body: string | undefined): void {
    if (frame.t === 'refuse') {
      const known = Object.hasOwn(exitCodes, frame.code) ? (frame.code as ErrorCode) : 'NODE_UNREACHABLE';
      this.#refusal = new SkeinError(known, frame.message);
      this.close(frame.message);
      return;
    }
    try {
      if (frame.t === 'hello') this.#open(frame);
      else if (!this.#peer) throw new SkeinError('PROTOCOL_INVALID', 'Say hello first.');
      else this.#handlers.received(this, frame, body);
    } catch (error) {
      if (error instanceof SkeinError) this.#refusal ??= error;
      this.#lines.end({ t: 'refuse', code: this.#refusal?.code ?? 'INTERNAL', message: messageOf(error) });
    }
  }

  #open(hello: Extract<FromPeer, { t: 'hello' }>): void {
    const { identity } = this.#handlers;
    if (hello.protocol !== peerProtocol) {
      throw new SkeinError(
        'PROTOCOL_MISMATCH',
        `Node ${identity.node} speaks version ${peerProtocol} of the bus, and ${hello.node} version ${hello.protocol}. Bring both to the same version of Skein.`,
      );
    }
    if (hello.app !== identity.app || hello.node === identity.node) {
      throw new SkeinError(
        'APP_MISMATCH',
        `Node ${identity.node} of app ${identity.app} does not link with node ${hello.node} of app ${hello.app}: nodes of one app have one app name, and each its own.`,
      );
    }
    clearTimeout(this.#helloTimer);
    const { node, region, url, run, candidate } = hello;
    this.#peer = { node, region, url, run, candidate };
    this.#handlers.opened(this);
  }
}
