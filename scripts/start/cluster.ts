import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { startFirstLeading } from './first-leader.ts';
import { type NodeCommand, NodeProcess } from './node-process.ts';
import { fetchStatus, leadingStatus } from './node-status.ts';
import type { NodePlan, Plan } from './plan.ts';

const repository = join(import.meta.dirname, '..', '..');
const appDirectory = join(repository, 'examples', 'cities');
/** Short, so that a takeover can be watched; long enough for a machine that is busy. */
const leaseTtl = '3s';
/** Longer than a takeover: the loss of the node that leads refuses nothing that had not begun. */
const primaryWait = '10s';

/** The variable that only a node has, and each another value of. */
export const dataDirectoryVariable = 'SKEIN_DATABASE_DIR';

/** The nodes of the demonstration, each a process; every one of them may lead. */
export class Cluster {
  readonly nodes: readonly NodeProcess[];
  readonly #leaseDirectory: string;
  /** Resolves when `start` has done what it can, and starts no node any more. */
  started: Promise<void> = Promise.resolve();

  /** `program` is what runs a node: `bin/skein`, or in a test what stands in for it. */
  constructor(plan: Omit<Plan, 'notes'>, program = join(repository, 'bin', 'skein')) {
    this.#leaseDirectory = plan.leaseDirectory;
    this.nodes = plan.nodes.map((node) => new NodeProcess(node, commandOf(program, node, plan)));
  }

  /** Starts all nodes so that the first one leads, in the background. After `signal` no more are started. */
  start(signal: AbortSignal): void {
    // If this program fails, the nodes must not stay behind.
    process.once('exit', () => {
      for (const node of this.nodes) {
        node.resume();
        node.signal('SIGTERM');
      }
    });
    const isLeaseNew = !existsSync(join(this.#leaseDirectory, 'lease.json'));
    this.started = startFirstLeading(this.nodes, isLeaseNew, signal);
  }

  /** Stops the one that leads last, so that none takes over. Resolves to the names of those that had to be killed. */
  async stop(hurry: AbortSignal): Promise<string[]> {
    await this.started;
    for (const node of this.nodes) node.resume();
    const running = this.nodes.filter((node) => node.isRunning);
    const leading = leadingStatus(await Promise.all(running.map(({ plan }) => fetchStatus(plan.apiUrl))));
    const killed: string[] = [];
    for (const isLeader of [false, true]) {
      const group = running.filter(({ plan }) => (plan.name === leading?.node) === isLeader);
      await Promise.all(
        group.map(async (node) => {
          if (!(await node.stop(hurry))) killed.push(node.plan.name);
        }),
      );
    }
    return killed;
  }
}

function commandOf(program: string, node: NodePlan, plan: Omit<Plan, 'notes'>): NodeCommand {
  const inherited = Object.entries(process.env).filter(([key]) => !/^(SKEIN|FLY|LITEFS)_/.test(key));
  return {
    program,
    parameters: ['run', '--config', join(appDirectory, 'skein.toml')],
    directory: appDirectory,
    environment: {
      ...Object.fromEntries(inherited),
      // npm puts our Node.js first; started in another way, the app must still find it.
      PATH: [join(repository, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
      HOST: '127.0.0.1',
      [dataDirectoryVariable]: node.dataDirectory,
      SKEIN_HTTP_LISTEN: `127.0.0.1:${node.appPort}`,
      SKEIN_HTTP_PRIMARY_WAIT: primaryWait,
      SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(node.innerPort),
      SKEIN_LEASE_TYPE: 'file',
      SKEIN_LEASE_PATH: plan.leaseDirectory,
      SKEIN_LEASE_TTL: leaseTtl,
      SKEIN_NODE_CANDIDATE: 'true',
      SKEIN_NODE_NAME: node.name,
      SKEIN_NODE_REGION: node.name,
      SKEIN_NODE_LISTEN: `127.0.0.1:${node.apiPort}`,
    },
  };
}
