import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import { createItems, databaseName } from './items.ts';
import type { Measure, MeasureContext } from './measure.ts';
import type { AppInput, Contender, Framework } from './middleware-app.ts';
import { BenchCluster, freePorts } from './nodes.ts';
import type { PairedLoad, PairedLoadInput } from './paired-load.ts';
import type { Figure, Target } from './result.ts';
import { median } from './samples.ts';

const frameworks: readonly Framework[] = ['node:http', 'express', 'fastify', 'hono'];
const contenders: readonly Contender[] = ['bare', 'empty', 'library'];
const kinds = [...contenders, 'session'] as const;
type Kind = Contender | 'session';
const connections = 32;
const rows = 1_000;
const target: Target = { bound: 'at least', value: 0.95 };
const labels: Record<Kind, string> = {
  bare: 'without a middleware',
  empty: 'with one that does nothing',
  library: 'with the library',
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
      about: `An app on a replica, one row read by primary key for each request, ${connections} connections. Without a middleware, with an empty one, with the library’s and its guard, and with a session too, in turns of a quarter of a second, by several sets of processes; the ratio is the median of those within a round.`,
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
  const sets: PairedLoad[][] = [];
  const count = quick ? 2 : 6;
  for (let set = 1; set <= count; set += 1) {
    progress(`middleware in ${framework}, set ${set} of ${count}`);
    sets.push(await measureSet(framework, directory, environment));
  }
  return figuresOf(
    framework,
    kinds.map((_, index) => {
      const loads = sets.map((set) => set[index] as PairedLoad);
      const cpuUs = median(loads.map((load) => load.cpuUs));
      return { rates: loads.flatMap(({ rates }) => rates), cpuUs };
    }),
  );
}

/** New processes: one of the same program can be a tenth faster than another for all of its life. */
async function measureSet(
  framework: Framework,
  directory: string,
  environment: NodeJS.ProcessEnv,
): Promise<PairedLoad[]> {
  const ports = await freePorts(contenders.length);
  const apps = contenders.map((contender, index) => {
    const input: AppInput = { framework, contender, port: ports[index] as number, directory };
    return new ChildTask('middleware-app.ts', input, environment);
  });
  try {
    await Promise.all(apps.map(({ ready }) => ready));
    const targets = kinds.map((kind) => {
      const headers = kind === 'session' ? ['Cookie: __txid=0000000000000001'] : [];
      const at = contenders.indexOf(kind === 'session' ? 'library' : kind);
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
      label: '  of without one',
      value: median(rates.map((one, round) => one / (bare.rates[round] ?? 0))),
      unit: 'times',
      ...(kind === 'library' ? { target } : {}),
    };
    return [rate, cpu, ratio];
  });
}
