import { monotonicMs } from '../../src/base/clock.ts';
import type { Cluster } from './cluster.ts';
import { LogTail } from './log-tail.ts';
import type { NodeProcess } from './node-process.ts';
import { databaseName, fetchStatus, type NodeStatus } from './node-status.ts';
import type { LogLine, NodeView } from './screen.ts';

const rateWindowMs = 3000;
const logLinesMax = 200;

/** Follows the nodes of a cluster: what each last said of itself, how fast it goes, and what it logged. */
export class ClusterWatch {
  readonly #watches: readonly NodeWatch[];
  readonly #log: LogLine[] = [];

  constructor(cluster: Cluster) {
    this.#watches = cluster.nodes.map((node) => new NodeWatch(node));
  }

  /** Asks all nodes at once; a node that does not answer costs two seconds at most. */
  async refresh(): Promise<NodeView[]> {
    await Promise.all(this.#watches.map((watch) => watch.refresh()));
    return this.views();
  }

  views(): NodeView[] {
    const acknowledged = this.#watches.flatMap(({ status }) =>
      status?.role === 'primary' ? status.replicas : [],
    );
    return this.#watches.map((watch) => {
      const replica = acknowledged.find(({ node }) => node === watch.node.plan.name);
      return { ...watch.view(), acknowledged: replica?.acknowledged[databaseName] };
    });
  }

  /** What the nodes have logged since the last call. */
  newLines(): LogLine[] {
    const added = this.#watches.flatMap(({ node, tail }) =>
      tail.read().map((text) => ({ node: node.plan.name, text })),
    );
    this.#log.push(...added);
    this.#log.splice(0, this.#log.length - logLinesMax);
    return added;
  }

  get log(): readonly LogLine[] {
    return this.#log;
  }
}

class NodeWatch {
  readonly node: NodeProcess;
  readonly tail: LogTail;
  readonly #samples: { atMs: number; txid: number }[] = [];
  #hasAnswered = false;
  status: NodeStatus | undefined;

  constructor(node: NodeProcess) {
    this.node = node;
    this.tail = new LogTail(node.plan.logFile);
  }

  async refresh(): Promise<void> {
    const status = this.node.isRunning ? await fetchStatus(this.node.plan.apiUrl) : undefined;
    // Another program may have taken the port between our look at it and the node's start.
    this.status = status?.node === this.node.plan.name ? status : undefined;
    if (!this.status) {
      this.#samples.length = 0;
      return;
    }
    this.#hasAnswered = true;
    const txid = this.status.databases[databaseName]?.txid;
    if (txid === undefined) return;
    const atMs = monotonicMs();
    this.#samples.push({ atMs, txid: Number.parseInt(txid, 16) });
    while (this.#samples.length > 2 && atMs - (this.#samples[0]?.atMs ?? atMs) > rateWindowMs) {
      this.#samples.shift();
    }
  }

  view(): NodeView {
    const { plan, exit } = this.node;
    const state = exit ?? (this.status ? undefined : this.#hasAnswered ? 'does not answer' : 'starting');
    return {
      name: plan.name,
      city: plan.city,
      trouble: state,
      status: this.status,
      transactionsPerSecond: this.#rate(),
    };
  }

  #rate(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs - first.atMs < 400) return undefined;
    return Math.max(0, last.txid - first.txid) / ((last.atMs - first.atMs) / 1000);
  }
}
