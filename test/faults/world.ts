import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { waitInStep } from '../support/in-step.ts';
import { canMount, SmallDisk } from '../support/small-disk.ts';
import { TestNode } from '../support/test-node.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultNode } from './fault-node.ts';
import { type LeaseKind, type LeaseStore, openLeaseStore } from './lease-store.ts';
import { Link } from './link.ts';
import { processWithPort } from './source-process.ts';

const names = ['ams', 'ord', 'syd', 'gru', 'nrt'] as const;
const app = resolve(import.meta.dirname, 'fault-app.py');
const arrivals = 'arrivals';
const diskBytes = 96 * 2 ** 20;

export type WorldOptions = {
  readonly lease: LeaseKind;
  readonly count: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** What runs an app that has Skein's library in place of a door, on `PORT`. */
  readonly library?: string;
};

/** Candidates as real processes, with an app in each, behind links that can be cut; removed with the test. */
export class World {
  readonly directory: string;
  readonly nodes: readonly FaultNode[];
  readonly store: LeaseStore;
  /** Of the last node; undefined where a small one cannot be had. */
  readonly disk: SmallDisk | undefined;
  readonly #links: ReadonlyMap<string, Link>;

  private constructor(
    directory: string,
    nodes: readonly FaultNode[],
    store: LeaseStore,
    links: ReadonlyMap<string, Link>,
    disk: SmallDisk | undefined,
  ) {
    this.directory = directory;
    this.nodes = nodes;
    this.store = store;
    this.#links = links;
    this.disk = disk;
  }

  static async open(t: TestContext, { lease, count, environment, library }: WorldOptions): Promise<World> {
    const cannotMount = canMount();
    if (cannotMount !== false) t.diagnostic(`no disk fills up here: ${cannotMount}`);
    const disk = cannotMount === false ? new SmallDisk(t, diskBytes) : undefined;
    const directory = mkdtempSync(join(tmpdir(), 'skein-faults-'));
    const own = names.slice(0, count);
    const store = await openLeaseStore(lease, directory, own);
    const ports = await freePorts(3 * count);
    const nodes: FaultNode[] = [];
    const links = new Map<string, Link>();
    const sourceOf = (port: number): string => {
      const pids = nodes.flatMap(({ node }) => node.pid ?? []);
      const pid = processWithPort(port, pids);
      return nodes.find(({ node }) => node.pid === pid && pid !== undefined)?.name ?? '';
    };
    for (const [index, name] of own.entries()) {
      const [port = 0, appPort = 0, ownDoorPort = 0] = ports.slice(3 * index);
      const doorPort = library === undefined ? ownDoorPort : appPort;
      const command = library ?? `exec python3 ${app} ${appPort} ${join(directory, arrivals)}`;
      const link = await Link.open(port, sourceOf);
      links.set(name, link);
      const node = new TestNode({
        name,
        directory: join(directory, name),
        ...(disk && index === count - 1 ? { databases: join(disk.path, 'data') } : {}),
        port,
        primary: undefined,
        toml: `[processes]\napp = ${JSON.stringify(command)}\n`,
        environment: {
          SKEIN_NODE_ADVERTISE: `http://127.0.0.1:${link.port}`,
          SKEIN_LEASE_TTL: '2s',
          ...(library === undefined ? { SKEIN_HTTP_LISTEN: String(doorPort) } : {}),
          SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(appPort),
          SKEIN_LOG_BYTES_MAX: '16MiB',
          SKEIN_TEST_RECYCLE_FRAMES: '500',
          ...store.environment(name),
          ...environment,
        },
      });
      nodes.push(new FaultNode(node, appPort, doorPort));
    }
    const world = new World(directory, nodes, store, links, disk);
    t.after(() => world.#remove());
    return world;
  }

  /** How the messages of one node reach another. */
  link(to: FaultNode): Link {
    const link = this.#links.get(to.name);
    if (!link) throw new Error(`there is no link to ${to.name}`);
    return link;
  }

  /** The node that says it leads, in the highest epoch if there are several. */
  async primary(): Promise<FaultNode | undefined> {
    const states = await Promise.all(
      this.nodes.map(async (node) => ({ node, status: node.isAway ? undefined : await node.status() })),
    );
    return states
      .filter(({ status }) => status?.role === 'primary')
      .sort((one, other) => (other.status?.epoch ?? 0) - (one.status?.epoch ?? 0))[0]?.node;
  }

  /** Waits until one leads and all others are connected to it. All are up, and nothing is wrong any more. */
  async settled(timeoutMs = 60_000): Promise<FaultNode> {
    return waitFor(
      'one node to lead, and all others to follow it',
      async () => {
        const states = await Promise.all(this.nodes.map((node) => node.status()));
        const leaders = this.nodes.filter((_, index) => states[index]?.role === 'primary');
        const [leader] = leaders;
        const isFollowed = states.every((status) => status?.primary?.node === leader?.name);
        return leaders.length === 1 && leader !== undefined && isFollowed ? leader : undefined;
      },
      { timeoutMs },
    );
  }

  /** Nobody may write meanwhile. */
  async waitInStep(timeoutMs = 60_000): Promise<Readonly<Record<string, string>>> {
    const primary = await this.settled(timeoutMs);
    return waitInStep(
      primary.node,
      this.nodes.map(({ node }) => node),
      timeoutMs,
    );
  }

  /** What the apps of all nodes were asked to write, one entry for each time. */
  arrivals(): string[] {
    return readFileSync(join(this.directory, arrivals), 'utf8').trimEnd().split('\n');
  }

  tails(): string {
    return this.nodes.map(({ node }) => node.tail()).join('\n');
  }

  async #remove(): Promise<void> {
    await Promise.all(this.nodes.map(({ node }) => node.kill()));
    for (const link of this.#links.values()) await link.close();
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
