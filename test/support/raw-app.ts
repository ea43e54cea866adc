import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { RawPeer } from './raw-peer.ts';
import { waitFor } from './wait-for.ts';

/** An app that does nothing by itself: a test reads what comes, and says what goes back. */
export class RawApp {
  readonly port: number;
  /** Every connection that it was given, in order. */
  readonly peers: RawPeer[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => this.peers.push(new RawPeer(socket)));
  }

  static async start(t: TestContext): Promise<RawApp> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const app = new RawApp(server);
    t.after(() => app.stop());
    return app;
  }

  /** The connection of this number, from 0, once it is there. */
  peer(index = 0): Promise<RawPeer> {
    return waitFor(`connection ${index} to the app`, () => this.peers[index]);
  }

  stop(): void {
    this.#server.close();
    for (const peer of this.peers) peer.socket.destroy();
  }
}
