import { delimiter, join } from 'node:path';
import { type NodeCommand, NodeProcess } from './node-process.ts';
import type { NodePlan } from './plan.ts';

const repository = join(import.meta.dirname, '..', '..');
const appDirectory = join(repository, 'examples', 'cities');

/** The nodes of the demonstration, each a process. The first of the plan is the primary. */
export class Cluster {
  readonly nodes: readonly NodeProcess[];
  readonly primary: NodeProcess;
  readonly replicas: readonly NodeProcess[];

  /** `program` is what runs a node: `bin/skein`, or in a test what stands in for it. */
  constructor(plans: readonly NodePlan[], program = join(repository, 'bin', 'skein')) {
    const [first] = plans;
    if (!first) throw new Error('a cluster needs a node');
    this.nodes = plans.map((plan) => new NodeProcess(plan, commandOf(program, plan, first.apiUrl)));
    const [primary, ...replicas] = this.nodes as [NodeProcess, ...NodeProcess[]];
    this.primary = primary;
    this.replicas = replicas;
  }

  start(): void {
    for (const node of this.nodes) node.start();
    // If this program fails, the nodes must not stay behind.
    process.once('exit', () => {
      for (const node of this.nodes) node.signal('SIGTERM');
    });
  }

  /** Stops the replicas, then the primary. Resolves to the names of those that had to be killed. */
  async stop(hurry: AbortSignal): Promise<string[]> {
    const killed: string[] = [];
    for (const group of [this.replicas, [this.primary]]) {
      await Promise.all(
        group.map(async (node) => {
          if (!(await node.stop(hurry))) killed.push(node.plan.name);
        }),
      );
    }
    return killed;
  }
}

function commandOf(program: string, plan: NodePlan, primaryUrl: string): NodeCommand {
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
      SKEIN_DATABASE_DIR: plan.dataDirectory,
      SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(plan.appPort),
      SKEIN_LEASE_TYPE: 'static',
      SKEIN_LEASE_PRIMARY: primaryUrl,
      SKEIN_NODE_NAME: plan.name,
      SKEIN_NODE_REGION: plan.name,
      SKEIN_NODE_LISTEN: `127.0.0.1:${plan.apiPort}`,
    },
  };
}
