import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from './free-ports.ts';
import { waitInStep } from './in-step.ts';
import { TestNode, type TestNodeOptions } from './test-node.ts';

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

  /** Waits until every node has all that is committed on the primary. Nobody may write meanwhile. Resolves to the positions. */
  async waitInStep(timeoutMs = 30_000): Promise<Readonly<Record<string, string>>> {
    return waitInStep(this.primary, this.nodes, timeoutMs);
  }

  async #remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
