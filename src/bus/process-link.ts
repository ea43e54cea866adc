import type { Duplex } from 'node:stream';
import { messageOf, SkeinError } from '../base/errors.ts';
import { busProtocol, type FromNode, heartbeatMs, lineBytesMax, silenceMaxMs } from '../client/bus-frames.ts';
import { type Line, LineSocket } from '../client/line-socket.ts';
import { type FromProcess, parseFromProcess } from './frames.ts';

/** What may wait for a process that does not read. */
const queueBytesMax = 8 << 20;
const namesMax = 2_000;

export type ProcessLinkHandlers = {
  readonly node: string;
  readonly region: string;
  clockMs(): number;
  received(link: ProcessLink, frame: FromProcess, body: string | undefined): void;
  closed(link: ProcessLink): void;
};

/** One of the app's processes, as its node sees it. */
export class ProcessLink {
  readonly #lines: LineSocket;
  readonly #handlers: ProcessLinkHandlers;
  /** The functions that it runs for callers. */
  readonly served = new Set<string>();
  /** Those that it subscribes to. */
  readonly channels = new Set<string>();
  #isGreeted = false;
  pid = 0;

  constructor(socket: Duplex, head: Buffer, handlers: ProcessLinkHandlers) {
    this.#handlers = handlers;
    this.#lines = new LineSocket(socket, head, {
      lineBytesMax,
      queueBytesMax,
      heartbeatMs,
      silenceMaxMs,
      heartbeat: () => ({ t: 'ping', clockMs: handlers.clockMs() }),
      received: (frame, body) => this.#receive(parseFromProcess(frame), body),
      closed: () => handlers.closed(this),
    });
  }

  get hasRoom(): boolean {
    return this.#lines.hasRoom;
  }

  /** False when the link is over. */
  send(frame: FromNode, body?: string, dropped?: () => void): boolean {
    return this.#lines.send(frame, body, dropped);
  }

  feed(lines: Iterator<Line>): void {
    this.#lines.feed(lines);
  }

  close(): void {
    this.#lines.destroy('the node is stopping');
  }

  #receive(frame: FromProcess, body: string | undefined): void {
    try {
      if (frame.t === 'hello') this.#greet(frame.protocol, frame.pid);
      else if (!this.#isGreeted) throw new SkeinError('PROTOCOL_INVALID', 'Say hello first.');
      else if (frame.t === 'serve') this.#serve(frame.names);
      if (frame.t !== 'hello') this.#handlers.received(this, frame, body);
    } catch (error) {
      const code = error instanceof SkeinError ? error.code : 'INTERNAL';
      this.#lines.end({ t: 'refuse', code, message: messageOf(error) });
    }
  }

  #greet(protocol: number, pid: number): void {
    if (protocol !== busProtocol) {
      throw new SkeinError(
        'PROTOCOL_MISMATCH',
        `This node speaks version ${busProtocol} of the bus, and the app's skein/client version ${protocol}. Bring both to the same version of Skein.`,
      );
    }
    this.#isGreeted = true;
    this.pid = pid;
    const { node, region } = this.#handlers;
    this.send({ t: 'welcome', protocol: busProtocol, node, region });
  }

  #serve(names: readonly string[]): void {
    for (const name of names) this.served.add(name);
    if (this.served.size > namesMax)
      throw new SkeinError(
        'BUS_OVERLOADED',
        `A process registers over ${namesMax} functions with onPrimary. Register fewer.`,
      );
  }
}
