import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../src/config/config.ts';
import type { DoorNode } from '../../src/door/door-node.ts';
import { NodeDoor } from '../../src/door/node-door.ts';
import { tunnelPath } from '../../src/door/open-tunnel.ts';
import { checksum, checksumFlag, type Position, txid } from '../../src/ltx/position.ts';
import { ApiServer } from '../../src/node/api-server.ts';
import type { Replication } from '../../src/node/replication.ts';
import { TunnelRoute } from '../../src/node/tunnel-route.ts';
import { freePorts } from './free-ports.ts';
import { RawApp } from './raw-app.ts';
import { RawPeer } from './raw-peer.ts';

export function at(count: number): Position {
  return { txid: txid(count), checksum: checksum(checksumFlag | BigInt(count)) };
}

/** What a door sees of its node's databases; a test moves them. */
export class MovedReplication {
  role: Replication['role'] = 'primary';
  isOver = false;
  hasHandedOver = false;
  /** What `LeadEnd` would know. */
  endedAt: ReadonlyMap<string, Position> | undefined;
  readonly committed = new Map<string, number>();
  /** Made by the app, and not seen yet. */
  readonly unseen = new Map<string, number>();
  readonly broken = new Set<string>();
  isHeld = (_name: string, _position: Position): boolean => true;
  readonly #listeners = new Set<() => void>();

  positions(): Map<string, Position> {
    return new Map([...this.committed].map(([name, count]) => [name, at(count)]));
  }

  hasStayedAt(positions: ReadonlyMap<string, Position>): boolean {
    return this.endedAt !== undefined && isDeepStrictEqual(positions, this.endedAt);
  }

  position(name: string): Position | undefined {
    return this.positions().get(name);
  }

  async currentPosition(name: string): Promise<Position> {
    const position = this.position(name);
    if (!position || this.broken.has(name)) throw new Error(`${name} cannot be captured`);
    return position;
  }

  isDurable(name: string, position: Position): boolean {
    return this.isHeld(name, position);
  }

  replicas(): object[] {
    return [{ node: 'other', connected: true, candidate: true }];
  }

  async look(): Promise<void> {
    for (const [name, count] of this.unseen) this.committed.set(name, count);
    this.unseen.clear();
  }

  primary(): undefined {
    return undefined;
  }

  databases(): [] {
    return [];
  }

  holders(): [] {
    return [];
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  move(change: () => void): void {
    change();
    for (const listener of this.#listeners) listener();
  }
}

/** One node's door and its API, without the rest of the node: what it leads to, and what has been written, is the test's. */
export class LoneDoor {
  readonly app: RawApp;
  readonly door: NodeDoor;
  readonly port: number;
  readonly url: string;
  replication = new MovedReplication();
  canWrite = true;
  isPrimary = true;
  /** Where the primary is when it is not here. */
  elsewhere: { readonly node: string; readonly url: string } | undefined;
  peers: { readonly node: string; readonly region: string; readonly url: string }[] = [];

  private constructor(app: RawApp, port: number, apiPort: number, http: Partial<Config['http']>) {
    this.app = app;
    this.port = port;
    this.url = `http://127.0.0.1:${apiPort}`;
    const config = { internalPort: app.port, http: { ...defaults, ...http } } as Config;
    this.door = new NodeDoor(config, { host: '127.0.0.1', port }, this.#node());
  }

  static async start(
    t: TestContext,
    http: Partial<Config['http']> & { readonly hasNoDoor?: boolean } = {},
  ): Promise<LoneDoor> {
    const app = await RawApp.start(t);
    const [port, apiPort] = await freePorts(2);
    const lone = new LoneDoor(app, port, apiPort, http);
    const tunnels = new TunnelRoute({
      node: 'here',
      secret: undefined,
      appPort: app.port,
      primaryWaitMs: 500,
      primary: async () => undefined,
      urlOf: async () => undefined,
      door: () => (http.hasNoDoor ? undefined : (socket, mark) => lone.door.enter(socket, mark)),
    });
    const api = new ApiServer({
      listen: { host: '127.0.0.1', port: apiPort },
      secret: undefined,
      routes: new Map([['GET /health', ({ response }) => void response.end()]]),
      upgrades: new Map([[tunnelPath, (...call) => tunnels.accept(...call)]]),
      failed: () => undefined,
    });
    await api.listen();
    await lone.door.listen();
    t.after(async () => {
      lone.door.stop();
      tunnels.stop();
      await api.close();
    });
    return lone;
  }

  /** Leads to that door's node from now on. */
  follow(primary: LoneDoor): void {
    this.canWrite = false;
    this.replication.role = 'replica';
    this.elsewhere = { node: 'there', url: primary.url };
  }

  client(): Promise<RawPeer> {
    return RawPeer.connect(this.port);
  }

  /** Sends a request, and has the app answer it with this. Returns the head of what the client gets. */
  async exchange(request: string, answer: string, meanwhile = (): void => undefined): Promise<string> {
    const client = await this.client();
    const index = this.app.peers.length;
    client.send(request);
    const peer = await this.app.peer(index);
    await peer.take('\r\n\r\n');
    meanwhile();
    peer.send(answer);
    const head = await client.take('\r\n\r\n');
    client.socket.destroy();
    peer.socket.destroy();
    return head;
  }

  #node(): DoorNode {
    return {
      app: 'test',
      name: 'here',
      region: 'ams',
      secret: undefined,
      appToken: 'token',
      chainEpoch: () => 1,
      replication: () => this.replication as unknown as Replication,
      lookForNew: () => this.replication.look(),
      canWrite: () => this.canWrite,
      primary: () => {
        if (this.canWrite) return { node: 'here', url: this.url, isHere: true };
        return this.elsewhere && { ...this.elsewhere, isHere: false };
      },
      peers: async () => this.peers,
    };
  }
}

const defaults: Partial<Config['http']> = {
  forward: 'direct',
  passthrough: [],
  alwaysForward: [],
  readWaitMs: 1_500,
  primaryWaitMs: 3_000,
  maxLagMs: 0,
  durabilityWaitMs: 300,
  drainTimeoutMs: 200,
  headMax: 8_192,
  headTimeoutMs: 5_000,
  idleTimeoutMs: 5_000,
  progressTimeoutMs: 5_000,
  connectionsMax: 100,
  appConnectionsMax: 100,
  replayBodyMax: 10_000,
  trustForwarded: 'none',
};
