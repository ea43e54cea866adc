import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';

/** Which bytes do not arrive: those to the target, those back, or all. */
export type Direction = 'forth' | 'back' | 'both';

type Connection = { readonly source: string; readonly client: Socket; readonly target: Socket };

/**
 * All connections to one port, as a network that can be cut for each source. A cut holds the bytes back and closes nothing,
 * as a network does that drops packets; once it is healed they arrive, as TCP has it.
 */
export class Link {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #sourceOf: (localPort: number) => string;
  readonly #connections = new Set<Connection>();
  readonly #cuts = new Map<string, Direction>();

  private constructor(targetPort: number, sourceOf: (localPort: number) => string) {
    this.#targetPort = targetPort;
    this.#sourceOf = sourceOf;
    this.#server = createServer({ pauseOnConnect: true }, (client) => this.#accept(client));
  }

  /** `sourceOf` names who has a connection's other end, by its port. The caller calls `close`. */
  static async open(targetPort: number, sourceOf: (localPort: number) => string): Promise<Link> {
    const link = new Link(targetPort, sourceOf);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on, also for connections to come. */
  cut(source: string, direction: Direction): void {
    this.#cuts.set(source, direction);
    for (const connection of this.#of(source)) this.#regulate(connection);
  }

  heal(source: string): void {
    this.#cuts.delete(source);
    for (const connection of this.#of(source)) this.#regulate(connection);
  }

  /** Closes what is open, as a middle box does that has lost its table. */
  reset(source: string): void {
    for (const { client, target } of this.#of(source)) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const { client, target } of this.#connections) {
      client.destroy();
      target.destroy();
    }
    await once(this.#server, 'close');
  }

  #of(source: string): Connection[] {
    return [...this.#connections].filter((connection) => connection.source === source);
  }

  #accept(client: Socket): void {
    const target = new Socket();
    const connection = { source: this.#sourceOf(client.remotePort ?? 0), client, target };
    this.#connections.add(connection);
    target.connect(this.#targetPort, '127.0.0.1');
    join(client, target);
    join(target, client);
    client.on('close', () => this.#connections.delete(connection));
    this.#regulate(connection);
  }

  #regulate({ source, client, target }: Connection): void {
    const cut = this.#cuts.get(source);
    if (cut === 'forth' || cut === 'both') client.pause();
    else client.resume();
    if (cut === 'back' || cut === 'both') target.pause();
    else target.resume();
  }
}

/** Without waiting for `drain`, which would resume what a cut has paused: what one node sends another is little here. */
function join(from: Socket, to: Socket): void {
  from.on('data', (bytes) => to.write(bytes));
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
  from.on('close', () => to.destroy());
}
