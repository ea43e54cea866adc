import { connect, type Socket } from 'node:net';
import { waitFor } from './wait-for.ts';

/** One end of a TCP connection, with all that it has been sent. */
export class RawPeer {
  readonly socket: Socket;
  #received = '';
  hasEnded = false;
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
    });
    socket.on('end', () => {
      this.hasEnded = true;
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => undefined);
  }

  static async connect(port: number): Promise<RawPeer> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawPeer(socket);
  }

  get received(): string {
    return this.#received;
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  end(text = ''): void {
    this.socket.end(text, 'latin1');
  }

  /** Takes all that came up to and with the text, once it is there. */
  async take(end: string): Promise<string> {
    await waitFor(
      `${JSON.stringify(end)}, of which there is ${JSON.stringify(this.#received.slice(-500))}`,
      () => this.#received.includes(end),
    );
    const at = this.#received.indexOf(end) + end.length;
    const taken = this.#received.slice(0, at);
    this.#received = this.#received.slice(at);
    return taken;
  }

  /** All that came, once the other side has said that it is all. */
  async rest(): Promise<string> {
    await waitFor('the end of the connection', () => this.hasEnded || this.isClosed);
    const rest = this.#received;
    this.#received = '';
    return rest;
  }

  /** Resolves when the other side is gone, in order or not. */
  closed(): Promise<boolean> {
    return waitFor('the connection to close', () => this.hasEnded || this.isClosed);
  }
}
