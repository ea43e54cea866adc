import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { LogTail } from './log-tail.ts';
import type { NodeProcess } from './node-process.ts';
import { databaseName, fetchStatus, leadingStatus, type NodeStatus } from './node-status.ts';
import type { LogLine, NodeView } from './screen.ts';

const rateWindowMs = 3000;
const logLinesMax = 200;
/** How long a look waits for a node that does not answer: the others are shown meanwhile. */
const patienceMs = 250;

/** Follows the nodes of a cluster: what each last said of itself, how fast it goes, and what it logged. */
export class ClusterWatch {
  readonly #watches: readonly NodeWatch[];
  readonly #log: LogLine[] = [];

  constructor(cluster: Cluster) {
    this.#watches = cluster.nodes.map((node) => new NodeWatch(node));
  }

  /** Asks all nodes at once; of one that does not answer soon the last answer stands, for two seconds at most. */
  async refresh(): Promise<NodeView[]> {
    const over = new AbortController();
    const answered = Promise.all(this.#watches.map((watch) => watch.refresh()));
    await Promise.race([answered, sleep(patienceMs, over.signal)]);
    over.abort();
    return this.views();
  }

  /** The node that leads; undefined while none is known to. */
  leader(): NodeProcess | undefined {
    const leading = leadingStatus(this.#watches.map(({ status }) => status));
    return this.#watches.find(({ node }) => node.plan.name === leading?.node)?.node;
  }

  views(): NodeView[] {
    const leading = leadingStatus(this.#watches.map(({ status }) => status));
    return this.#watches.map((watch) => {
      const replica = leading?.replicas.find(({ node }) => node === watch.node.plan.name);
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
  #asking: Promise<void> | undefined;
  #status: NodeStatus | undefined;

  constructor(node: NodeProcess) {
    this.node = node;
    this.tail = new LogTail(node.plan.logFile);
  }

  /** What it said last; nothing of a node that cannot say anything now. */
  get status(): NodeStatus | undefined {
    return this.node.isRunning && !this.node.isPaused ? this.#status : undefined;
  }

  refresh(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { node } = this;
    const { pid } = node;
    const canAnswer = node.isRunning && !node.isPaused;
    const status = canAnswer ? await fetchStatus(node.plan.apiUrl) : undefined;
    // Not an answer from before it was killed, nor that of another program which took the port.
    const isOwn = status?.node === node.plan.name && node.pid === pid;
    this.#status = isOwn ? status : undefined;
    if (!node.isRunning) this.#hasAnswered = false;
    if (!this.#status) {
      this.#samples.length = 0;
      return;
    }
    this.#hasAnswered = true;
    const txid = this.#status.databases[databaseName]?.txid;
    if (txid === undefined) return;
    const atMs = monotonicMs();
    this.#samples.push({ atMs, txid: Number.parseInt(txid, 16) });
    while (this.#samples.length > 2 && atMs - (this.#samples[0]?.atMs ?? atMs) > rateWindowMs) {
      this.#samples.shift();
    }
  }

  view(): NodeView {
    const { plan } = this.node;
    return {
      name: plan.name,
      city: plan.city,
      trouble: this.status ? undefined : this.#trouble(),
      status: this.status,
      transactionsPerSecond: this.#rate(),
    };
  }

  #trouble(): string {
    const { exit, isRunning, isPaused } = this.node;
    if (exit !== undefined) return exit;
    if (!isRunning) return 'not started yet';
    if (isPaused) return 'paused';
    return this.#hasAnswered ? 'does not answer' : 'starting';
  }

  #rate(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs - first.atMs < 400) return undefined;
    return Math.max(0, last.txid - first.txid) / ((last.atMs - first.atMs) / 1000);
  }
}
