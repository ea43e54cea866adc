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
      about: `An app on a replica, one row read by primary key for each request, ${connections} connections. Bare, with middleware and guard, and with a session too, in turns of a quarter of a second; the ratio is the median of those within a round.`,
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
  const [barePort, port] = (await freePorts(2)) as [number, number];
  const input = (hasLibrary: boolean, at: number): AppInput => ({
    framework,
    hasLibrary,
    port: at,
    directory,
  });
  const apps: [ChildTask<object>, ChildTask<object>] = [
    new ChildTask('middleware-app.ts', input(false, barePort), environment),
    new ChildTask('middleware-app.ts', input(true, port), environment),
  ];
  try {
    await Promise.all(apps.map(({ ready }) => ready));
    progress(`middleware in ${framework}`);
    const input: PairedLoadInput = {
      targets: kinds.map((kind) => {
        const headers = kind === 'session' ? ['Cookie: __txid=0000000000000001'] : [];
        const [at, app] = kind === 'bare' ? [barePort, apps[0]] : [port, apps[1]];
        return { method: 'GET', path: '/item', headers, port: at, pid: app.pid };
      }),
      connections,
      sliceMs: 250,
      rounds: quick ? 10 : 60,
    };
    return figuresOf(framework, await new ChildTask<PairedLoad[]>('paired-load.ts', input).result);
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
