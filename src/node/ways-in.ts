import type { Bus } from '../bus/bus.ts';
import { peerPath } from '../bus/frames.ts';
import { busPath } from '../client/bus-frames.ts';
import type { Config } from '../config/config.ts';
import type { PeerNode } from '../door/door-node.ts';
import { NodeDoor } from '../door/node-door.ts';
import { tunnelPath } from '../door/open-tunnel.ts';
import type { Leadership } from '../lease/leadership.ts';
import type { ApiUpgrade } from './api-server.ts';
import { NewDatabases } from './new-databases.ts';
import { createNodeBus } from './node-bus.ts';
import type { NodeLog } from './node-log.ts';
import type { PrimaryReplication } from './primary-replication.ts';
import { PrimaryWatch } from './primary-watch.ts';
import type { ReplicaReplication } from './replica-replication.ts';
import type { Roles } from './roles.ts';
import { TunnelRoute } from './tunnel-route.ts';

export type WaysInParts = {
  readonly config: Config;
  readonly log: NodeLog;
  /** What the app's processes have instead of the secret. */
  readonly appToken: string;
  /** Undefined while the node starts. */
  roles(): Roles | undefined;
  leadership(): Leadership | undefined;
};

/** How requests and calls come to the app: by the door, by tunnels from other nodes, and by the bus. */
export class WaysIn {
  readonly bus: Bus;
  readonly door: NodeDoor | undefined;
  readonly tunnels: TunnelRoute;
  readonly #parts: WaysInParts;
  readonly #primaryWatch: PrimaryWatch;

  constructor(parts: WaysInParts) {
    this.#parts = parts;
    const { node, http, internalPort } = parts.config;
    this.#primaryWatch = new PrimaryWatch({
      node: node.name,
      url: node.advertise,
      role: () => this.#replication?.role,
      connected: () => this.#replication?.primary(),
      holder: () => parts.leadership()?.report().holder ?? undefined,
    });
    this.tunnels = new TunnelRoute({
      node: node.name,
      secret: node.secret,
      appPort: internalPort,
      primaryWaitMs: http.primaryWaitMs,
      primary: (timeoutMs, signal) => this.#primaryWatch.wait(timeoutMs, signal),
      urlOf: (name) => this.#urlOf(name),
      door: () => this.door && ((socket, mark) => this.door?.enter(socket, mark)),
    });
    this.door = this.#createDoor();
    this.bus = createNodeBus(parts);
  }

  /** For the API, by path. */
  get upgrades(): [string, ApiUpgrade][] {
    return [
      [tunnelPath, (...call) => this.tunnels.accept(...call)],
      [busPath, (...call) => this.bus.acceptProcess(...call)],
      [peerPath, (...call) => this.bus.acceptPeer(...call)],
    ];
  }

  /** Whether the app may write here at this moment, and nobody else may lead. */
  get canWrite(): boolean {
    return this.#parts.roles()?.mayWrite === true;
  }

  /** What this node knows of who leads, and of whose chain its databases are. */
  get lead(): { readonly canWrite: boolean; readonly epoch: number; readonly chainEpoch: number } {
    const leadership = this.#parts.leadership();
    const { epoch = 0, chainEpoch = 0 } = leadership ?? {};
    return { canWrite: this.canWrite, epoch, chainEpoch };
  }

  get #replication(): PrimaryReplication | ReplicaReplication | undefined {
    return this.#parts.roles()?.replication;
  }

  #createDoor(): NodeDoor | undefined {
    const { config, appToken } = this.#parts;
    const { app, node, http } = config;
    if (!http.listen) return undefined;
    const newDatabases = new NewDatabases(config.database.dir);
    return new NodeDoor(config, http.listen, {
      app,
      name: node.name,
      region: node.region,
      secret: node.secret,
      appToken,
      replication: () => this.#replication,
      chainEpoch: () => this.lead.chainEpoch,
      lookForNew: (replication) => newDatabases.look(replication),
      canWrite: () => this.canWrite,
      primary: () => this.#primaryWatch.current(),
      peers: () => this.#peers(),
    });
  }

  async #urlOf(node: string): Promise<string | undefined> {
    const primary = this.#replication?.primary();
    if (primary?.node === node) return primary.url;
    return (await this.#peers()).find((one) => one.node === node)?.url;
  }

  /** Nodes that are connected to this one, and candidates. */
  async #peers(): Promise<PeerNode[]> {
    const connected = this.#replication?.replicas().filter((replica) => replica.connected) ?? [];
    const announced =
      (await this.#parts
        .leadership()
        ?.survey()
        .catch(() => [])) ?? [];
    const names = new Set(connected.map(({ node }) => node));
    return [...connected, ...announced.filter(({ node }) => !names.has(node))];
  }
}
