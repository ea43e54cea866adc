import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import { createItems, databaseName } from './items.ts';
import type { Measure, MeasureContext } from './measure.ts';
import type { AppInput, Framework } from './middleware-app.ts';
import { BenchCluster, freePorts } from './nodes.ts';
import type { PairedLoad, PairedLoadInput } from './paired-load.ts';
import type { Figure, Target } from './result.ts';
import { median } from './samples.ts';

const frameworks: readonly Framework[] = ['node:http', 'express', 'fastify', 'hono'];
const kinds = ['bare', 'plain', 'session'] as const;
type Kind = (typeof kinds)[number];
const connections = 32;
const rows = 1_000;
const target: Target = { bound: 'at least', value: 0.95 };
const labels: Record<Kind, string> = {
  bare: 'without the library',
  plain: 'with it',
  session: 'with it, and a session that has written',
};

/** What the middleware costs an app that reads. */
export const measureMiddleware: Measure = {
  id: 'middleware',
  async run(context) {
    const cluster = await BenchCluster.plan(join(context.directory, 'middleware'), 1);
    const [replica] = cluster.replicas;
    const figures: Figure[] = [];
    try {
      createItems(cluster.primary.databasePath(databaseName), rows);
      await cluster.start();
      await cluster.primary.heldBy(1, databaseName);
      const environment = {
        ...process.env,
        SKEIN_DIR: replica.dataDirectory,
        SKEIN_API: replica.url,
        FLY_MACHINE_ID: replica.name,
      };
      for (const framework of frameworks)
        figures.push(...(await measureFramework(context, framework, replica.dataDirectory, environment)));
    } finally {
      await cluster.discard();
    }
    return {
      id: 'middleware',
      title: 'The library in the app',
      about: `An app on a replica, one row read by primary key for each request, ${connections} connections. Bare, with middleware and guard, and with a session too, in turns of a quarter of a second, by several pairs of processes; the ratio is the median of those within a round.`,
      figures,
    };
  },
};

async function measureFramework(
  { quick, progress }: MeasureContext,
  framework: Framework,
  directory: string,
  environment: NodeJS.ProcessEnv,
): Promise<Figure[]> {
  const pairs: PairedLoad[][] = [];
  const count = quick ? 2 : 6;
  for (let pair = 1; pair <= count; pair += 1) {
    progress(`middleware in ${framework}, pair ${pair} of ${count}`);
    pairs.push(await measurePair(framework, directory, environment));
  }
  return figuresOf(
    framework,
    kinds.map((_, index) => {
      const loads = pairs.map((pair) => pair[index] as PairedLoad);
      const cpuUs = median(loads.map((load) => load.cpuUs));
      return { rates: loads.flatMap(({ rates }) => rates), cpuUs };
    }),
  );
}

/** Two new processes: one of the same program can be a tenth faster than another for all of its life. */
async function measurePair(
  framework: Framework,
  directory: string,
  environment: NodeJS.ProcessEnv,
): Promise<PairedLoad[]> {
  const ports = (await freePorts(2)) as [number, number];
  const apps = ports.map((port, index) => {
    const input: AppInput = { framework, hasLibrary: index > 0, port, directory };
    return new ChildTask('middleware-app.ts', input, environment);
  });
  try {
    await Promise.all(apps.map(({ ready }) => ready));
    const targets = kinds.map((kind) => {
      const headers = kind === 'session' ? ['Cookie: __txid=0000000000000001'] : [];
      const at = kind === 'bare' ? 0 : 1;
      const pid = (apps[at] as ChildTask<object>).pid;
      return { method: 'GET' as const, path: '/item', headers, port: ports[at] as number, pid };
    });
    const input: PairedLoadInput = { targets, connections, sliceMs: 250, rounds: 10 };
    return await new ChildTask<PairedLoad[]>('paired-load.ts', input).result;
  } finally {
    for (const app of apps) app.kill();
  }
}

function figuresOf(framework: Framework, loads: readonly PairedLoad[]): Figure[] {
  const [bare] = loads as [PairedLoad];
  return kinds.flatMap((kind, index) => {
    const { rates, cpuUs } = loads[index] as PairedLoad;
    const id = `middleware.${framework.replace('node:', '')}.${kind}`;
    const label = `${framework} ${labels[kind]}`;
    const rate: Figure = { id, label, unit: 'requests/s', value: median(rates) };
    const cpu: Figure = { id: `${id}.cpu`, label: '  CPU time for one request', unit: 'µs', value: cpuUs };
    if (kind === 'bare') return [rate, cpu];
    const ratio: Figure = {
      id: `${id}.ratio`,
      label: '  of without the library',
      value: median(rates.map((one, round) => one / (bare.rates[round] ?? 0))),
      unit: 'times',
      ...(kind === 'plain' ? { target } : {}),
    };
    return [rate, cpu, ratio];
  });
}
