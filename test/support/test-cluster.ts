import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from './free-ports.ts';
import { type DatabaseState, TestNode, type TestNodeOptions } from './test-node.ts';
import { waitFor } from './wait-for.ts';

export type ClusterOptions = {
  readonly replicas?: number;
  /** For all nodes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** For one node, by its name: `primary`, `replica1`, `replica2`, … */
  readonly nodes?: Readonly<Record<string, Partial<TestNodeOptions>>>;
};

/** A primary and its replicas in a temporary directory; stopped and removed with the test. */
export class TestCluster {
  readonly directory: string;
  readonly primary: TestNode;
  readonly replicas: readonly TestNode[];

  private constructor(directory: string, nodes: readonly TestNode[]) {
    this.directory = directory;
    [this.primary, ...this.replicas] = nodes as [TestNode, ...TestNode[]];
  }

  /** Makes the nodes without starting them. */
  static async create(t: TestContext, options: ClusterOptions = {}): Promise<TestCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'skein-test-'));
    const count = 1 + (options.replicas ?? 1);
    const ports = await freePorts(count);
    const primary = `http://127.0.0.1:${ports[0]}`;
    const nodes = ports.map((port, index) => {
      const name = index === 0 ? 'primary' : `replica${index}`;
      const own = options.nodes?.[name] ?? {};
      const environment = { ...options.environment, ...own.environment };
      return new TestNode({ name, directory: join(directory, name), port, primary, ...own, environment });
    });
    const cluster = new TestCluster(directory, nodes);
    t.after(() => cluster.#remove());
    return cluster;
  }

  /** Makes the nodes and starts them, the primary first. */
  static async start(t: TestContext, options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = await TestCluster.create(t, options);
    await cluster.startAll();
    return cluster;
  }

  get nodes(): readonly TestNode[] {
    return [this.primary, ...this.replicas];
  }

  get replica(): TestNode {
    const [first] = this.replicas;
    if (!first) throw new Error('this cluster has no replica');
    return first;
  }

  async startAll(): Promise<void> {
    await this.primary.start();
    await Promise.all(this.replicas.map((replica) => replica.start()));
  }

  /**
   * Waits until the primary has captured all that is committed, and every node has every database at its position and
   * checksum. Nobody may write meanwhile. Resolves to those positions.
   */
  async waitInStep(timeoutMs = 30_000): Promise<Readonly<Record<string, string>>> {
    let seen = '';
    return waitFor(
      'all nodes to be in step',
      async () => {
        const names = databaseNames(this.primary.databases);
        // Answers only when what is in the file now is captured.
        for (const name of names) await this.#capture(name);
        const states = await Promise.all(this.nodes.map((node) => node.tryState()));
        const positions = states.map((state) => state && positionsOf(state.databases));
        seen = this.nodes
          .map((node, index) => `${node.name}: ${JSON.stringify(positions[index])}`)
          .join('\n');
        const [first, ...others] = positions;
        if (!first || names.some((name) => !(name in first))) return undefined;
        if (states.some((state) => state?.role === 'replica' && state.primary === null)) return undefined;
        return others.every((other) => other && sameRecord(first, other)) ? first : undefined;
      },
      { timeoutMs, state: () => [seen, ...this.nodes.map((node) => node.tail())].join('\n') },
    );
  }

  async #capture(database: string): Promise<void> {
    const body = JSON.stringify({ database, timeoutMs: 1_000 });
    await this.primary.fetch('/wait', { method: 'POST', body }).catch(() => undefined);
  }

  async #remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

function databaseNames(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.db'));
  return names.filter((name) => statSync(join(directory, name)).size > 0);
}

function positionsOf(databases: Readonly<Record<string, DatabaseState>>): Record<string, string> {
  const entries = Object.entries(databases).map(([name, { txid, checksum }]) => [
    name,
    `${txid}/${checksum}`,
  ]);
  return Object.fromEntries(entries.sort());
}

function sameRecord(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
