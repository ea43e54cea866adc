import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdServer } from '../support/etcd-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Link } from './link.ts';

export type LeaseKind = 'file' | 'etcd' | 'redis';

/** Where the nodes keep their lease, and what can happen to it. After each fault, `heal` makes it well again. */
export type LeaseStore = {
  /** What a node is given to find it. */
  environment(node: string): Readonly<Record<string, string>>;
  /** The node does not reach it any more, and gets no answer. */
  cut(node: string): void;
  heal(node: string): void;
  /** Nobody gets an answer. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** It is there again at once, and has forgotten everything. */
  empty(): Promise<void>;
  close(): Promise<void>;
};

export async function openLeaseStore(
  kind: LeaseKind,
  directory: string,
  nodes: readonly string[],
): Promise<LeaseStore> {
  if (kind === 'file') return new DirectoryStore(directory, nodes);
  if (kind === 'etcd') return ServerStore.open(kind, await etcd(), nodes);
  return ServerStore.open(kind, await redis(), nodes);
}

/** A directory that each node reaches by a symbolic link of its own. */
class DirectoryStore implements LeaseStore {
  readonly #directory: string;
  readonly #away: string;
  readonly #blocked: string;
  readonly #linkOf: (node: string) => string;

  constructor(directory: string, nodes: readonly string[]) {
    this.#directory = join(directory, 'lease');
    this.#away = join(directory, 'lease.away');
    this.#blocked = join(directory, 'no-directory');
    this.#linkOf = (node) => join(directory, `lease-of-${node}`);
    mkdirSync(this.#directory);
    writeFileSync(this.#blocked, '');
    for (const node of nodes) this.heal(node);
  }

  environment(node: string): Readonly<Record<string, string>> {
    return { SKEIN_LEASE_TYPE: 'file', SKEIN_LEASE_PATH: this.#linkOf(node) };
  }

  cut(node: string): void {
    this.#point(node, this.#blocked);
  }

  heal(node: string): void {
    this.#point(node, this.#directory);
  }

  /** A file in its place: a directory that is not there is one that nodes make. */
  async stop(): Promise<void> {
    renameSync(this.#directory, this.#away);
    writeFileSync(this.#directory, '');
  }

  async start(): Promise<void> {
    rmSync(this.#directory);
    renameSync(this.#away, this.#directory);
  }

  async empty(): Promise<void> {
    renameSync(this.#directory, this.#away);
    mkdirSync(this.#directory);
    rmSync(this.#away, { recursive: true });
  }

  async close(): Promise<void> {}

  #point(node: string, to: string): void {
    const link = this.#linkOf(node);
    symlinkSync(to, `${link}.new`);
    renameSync(`${link}.new`, link);
  }
}

type Server = Pick<LeaseStore, 'stop' | 'start' | 'empty' | 'close'> & {
  readonly scheme: string;
  readonly port: number;
};

/** A server that each node reaches through a link of its own. */
class ServerStore implements LeaseStore {
  readonly #kind: LeaseKind;
  readonly #server: Server;
  readonly #links: ReadonlyMap<string, Link>;

  private constructor(kind: LeaseKind, server: Server, links: ReadonlyMap<string, Link>) {
    this.#kind = kind;
    this.#server = server;
    this.#links = links;
  }

  static async open(kind: LeaseKind, server: Server, nodes: readonly string[]): Promise<ServerStore> {
    const links = new Map<string, Link>();
    for (const node of nodes) links.set(node, await Link.open(server.port, () => node));
    return new ServerStore(kind, server, links);
  }

  environment(node: string): Readonly<Record<string, string>> {
    const url = `${this.#server.scheme}://127.0.0.1:${this.#links.get(node)?.port}`;
    return { SKEIN_LEASE_TYPE: this.#kind, SKEIN_LEASE_URL: url };
  }

  cut(node: string): void {
    this.#links.get(node)?.cut(node, 'both');
  }

  heal(node: string): void {
    this.#links.get(node)?.heal(node);
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  empty(): Promise<void> {
    return this.#server.empty();
  }

  async close(): Promise<void> {
    for (const link of this.#links.values()) await link.close();
    await this.#server.close();
  }
}

async function etcd(): Promise<Server> {
  const server = await EtcdServer.started();
  return {
    scheme: 'http',
    port: Number(new URL(server.url).port),
    // Killed, it comes back with what it kept.
    stop: () => server.stop(),
    start: () => server.start(),
    empty: async () => {
      await server.stop();
      await server.start({ emptied: true });
    },
    close: () => server.remove(),
  };
}

async function redis(): Promise<Server> {
  const server = await RedisServer.start();
  return {
    scheme: 'redis',
    port: server.port,
    // Killed, this one would have forgotten everything: that is another fault.
    stop: async () => server.freeze(),
    start: async () => server.thaw(),
    empty: async () => {
      await server.kill();
      await server.restart({ emptied: true });
    },
    close: () => server.close(),
  };
}
