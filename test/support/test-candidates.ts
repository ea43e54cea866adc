import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from './free-ports.ts';
import { waitInStep } from './in-step.ts';
import { TestNode, type TestNodeOptions } from './test-node.ts';
import { waitFor } from './wait-for.ts';

/** Names and regions of the nodes. */
const places = ['ams', 'ord', 'syd', 'nrt', 'gru'] as const;

export type CandidatesOptions = {
  readonly count?: number;
  readonly ttl?: string;
  /** The store; a directory of the test's own if there is none. */
  readonly store?: { readonly type: 'etcd' | 'redis' | 'consul'; readonly url: string };
  readonly toml?: string;
  /** For all nodes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** For one node, by its name: `ams`, `ord`, `syd`, … */
  readonly nodes?: Readonly<Record<string, Partial<TestNodeOptions>>>;
};

/** What GET /leadership answers, as far as tests look at it. */
export type LeadershipAnswer = {
  readonly epoch: number;
  readonly holder: { readonly node: string } | null;
  readonly validForMs: number;
  readonly obstacle: string | null;
  readonly problem: string | null;
  readonly candidates: readonly { readonly node: string; readonly obstacle: string | null }[];
};

export type PostAnswer = {
  readonly primary?: string;
  readonly error?: { readonly code: string; readonly message: string };
};

/** Nodes that agree by a lease on who leads, in a temporary directory; stopped and removed with the test. */
export class TestCandidates {
  readonly directory: string;
  readonly nodes: readonly TestNode[];

  private constructor(directory: string, nodes: readonly TestNode[]) {
    this.directory = directory;
    this.nodes = nodes;
  }

  /** Makes the nodes without starting them. */
  static async create(t: TestContext, options: CandidatesOptions = {}): Promise<TestCandidates> {
    const directory = await mkdtemp(join(tmpdir(), 'skein-test-'));
    const { store, ttl = '2s', toml } = options;
    const lease: Readonly<Record<string, string>> = store
      ? { SKEIN_LEASE_TYPE: store.type, SKEIN_LEASE_URL: store.url }
      : { SKEIN_LEASE_TYPE: 'file', SKEIN_LEASE_PATH: join(directory, 'lease') };
    const ports = await freePorts(options.count ?? 3);
    const nodes = ports.map((port, index) => {
      const name = places[index];
      const own = options.nodes?.[name] ?? {};
      const environment = { ...lease, SKEIN_LEASE_TTL: ttl, ...options.environment, ...own.environment };
      const rest = { name, directory: join(directory, name), port, primary: undefined };
      return new TestNode({ ...rest, ...(toml === undefined ? {} : { toml }), ...own, environment });
    });
    const candidates = new TestCandidates(directory, nodes);
    t.after(() => candidates.#remove());
    return candidates;
  }

  /** Makes the nodes, starts them, and waits until one leads and the others follow it. */
  static async start(t: TestContext, options: CandidatesOptions = {}): Promise<TestCandidates> {
    const candidates = await TestCandidates.create(t, options);
    await Promise.all(candidates.nodes.map((node) => node.start()));
    await candidates.settled();
    return candidates;
  }

  node(name: string): TestNode {
    const found = this.nodes.find((node) => node.name === name);
    assert.ok(found, `there is a node ${name}`);
    return found;
  }

  /** All but these. */
  others(...nodes: readonly TestNode[]): TestNode[] {
    return this.nodes.filter((node) => !nodes.includes(node));
  }

  /** The one node among these, which all answer or are down, whose lease is good. Waits until there is one. */
  leader(among: readonly TestNode[] = this.nodes, timeoutMs = 20_000): Promise<TestNode> {
    return waitFor(
      'a node to lead',
      async () => {
        const answers = await Promise.all(among.map((node) => isLeading(node)));
        const leaders = among.filter((_, index) => answers[index]);
        return leaders.length === 1 ? leaders[0] : undefined;
      },
      { timeoutMs, state: () => among.map((node) => node.tail()).join('\n') },
    );
  }

  /** Waits until one of these leads and all others of them are connected to it, and it knows a standby. */
  async settled(among: readonly TestNode[] = this.nodes): Promise<TestNode> {
    const leader = await this.leader(among);
    await waitFor(
      `all to follow ${leader.name}`,
      async () => {
        const states = await Promise.all(among.map((node) => node.tryState()));
        return states.every((state) => state?.primary?.node === leader.name);
      },
      { state: () => among.map((node) => node.tail()).join('\n') },
    );
    return leader;
  }

  /** Waits until these hold all that is committed on the one that leads. Nobody may write meanwhile. */
  async waitInStep(timeoutMs = 30_000): Promise<Readonly<Record<string, string>>> {
    return waitInStep(await this.leader(), this.nodes, timeoutMs);
  }

  async #remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What the node knows of the lease; undefined while it does not answer. */
export async function leadershipOf(node: TestNode): Promise<LeadershipAnswer | undefined> {
  const answer = await node.fetch('/leadership').catch(() => undefined);
  return answer?.ok ? ((await answer.json()) as LeadershipAnswer) : undefined;
}

/** The status and the body of the answer to a POST. */
export async function post(
  node: TestNode,
  path: string,
  body: object,
): Promise<{ status: number; body: PostAnswer }> {
  const answer = await node.fetch(path, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: answer.status, body: (await answer.json()) as PostAnswer };
}

/** Whether all that is committed on the node now is durable at `replica` within the time. */
export async function isDurable(node: TestNode, timeoutMs = 5_000, database = 'app.db'): Promise<boolean> {
  const { status } = await post(node, '/wait', { database, durability: 'replica', timeoutMs });
  return status === 200;
}

/** Waits until all that is committed on the node now is durable at `replica`. Rejects with the reason, and the nodes' lines. */
export async function durable(node: TestNode, among: readonly TestNode[]): Promise<void> {
  const { status, body } = await post(node, '/wait', {
    database: 'app.db',
    durability: 'replica',
    timeoutMs: 10_000,
  });
  if (status === 200) return;
  const tails = among.map((one) => one.tail()).join('\n');
  const replicas = JSON.stringify((await node.tryState())?.replicas);
  throw new Error(`${node.name}: ${JSON.stringify(body)}\n${replicas}\n${tails}`);
}

async function isLeading(node: TestNode): Promise<boolean> {
  const state = node.pid === undefined ? undefined : await node.tryState();
  return state?.role === 'primary' && ((await leadershipOf(node))?.validForMs ?? 0) > 0;
}
