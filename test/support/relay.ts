import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';

export type RelayFault =
  /** Flips a bit of the byte at this place of what the target sends, counted from now, once. */
  | { readonly kind: 'flip'; readonly atByte: number }
  /** Cuts the connection in the middle of what the target sends, once. */
  | { readonly kind: 'cut'; readonly atByte: number };

/** A TCP relay between a replica and its primary, in which a test does harm to the stream. */
export class Relay {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  #fault: RelayFault | undefined;
  #bytes = 0;
  #stopped = false;
  /** What the target sends goes through at this rate, over all connections; undefined for all at once. */
  bytesPerSecond: number | undefined;
  /** How many faults have been done. */
  done = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((socket) => this.#relay(socket));
  }

  static async start(t: TestContext, targetPort: number, port = 0): Promise<Relay> {
    const relay = new Relay(targetPort);
    relay.#server.listen(port, '127.0.0.1');
    await once(relay.#server, 'listening');
    t.after(() => relay.close());
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Does the fault to the next bytes that the target sends, over however many connections. */
  plan(fault: RelayFault): void {
    this.#fault = fault;
    this.#bytes = 0;
  }

  /** Keeps all connections and moves nothing over them, as a network does that drops packets. */
  stopTraffic(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resumeTraffic(): void {
    this.#stopped = false;
    for (const socket of this.#sockets) socket.resume();
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.cutAll();
    await once(this.#server, 'close');
  }

  #relay(client: Socket): void {
    const target = new Socket();
    target.connect(this.#targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.on('end', () => other.end());
      if (this.#stopped) socket.pause();
    }
    client.on('data', (bytes) => pass(bytes, client, target));
    target.on('data', (bytes) => {
      if (this.#harm(bytes)) client.destroy();
      else this.#passSlowly(bytes, target, client);
    });
  }

  #passSlowly(bytes: Buffer, from: Socket, to: Socket): void {
    if (this.bytesPerSecond === undefined) {
      pass(bytes, from, to);
      return;
    }
    from.pause();
    setTimeout(
      () => {
        if (!this.#stopped) from.resume();
        pass(bytes, from, to);
      },
      (bytes.length / this.bytesPerSecond) * 1_000,
    );
  }

  /** True when the connection is to be cut here. */
  #harm(bytes: Buffer): boolean {
    const from = this.#bytes;
    this.#bytes += bytes.length;
    const fault = this.#fault;
    if (!fault || fault.atByte < from || fault.atByte >= this.#bytes) return false;
    this.#fault = undefined;
    this.done += 1;
    if (fault.kind === 'cut') return true;
    bytes[fault.atByte - from] ^= 0x10;
    return false;
  }
}

function pass(bytes: Buffer, from: Socket, to: Socket): void {
  if (to.write(bytes)) return;
  from.pause();
  to.once('drain', () => from.resume());
}
