import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import type { HttpLoadInput, HttpLoadResult } from './http-load.ts';
import { createItems, databaseName } from './items.ts';
import { figureOf, type Measure, type MeasureContext } from './measure.ts';
import type { AppInput, Framework } from './middleware-app.ts';
import { BenchCluster, freePorts } from './nodes.ts';
import { cpuMsOf } from './process-figures.ts';
import type { Figure, Target } from './result.ts';
import { median } from './samples.ts';

const frameworks: readonly Framework[] = ['node:http', 'express', 'fastify', 'hono'];
const kinds = ['bare', 'plain', 'session'] as const;
type Kind = (typeof kinds)[number];
/** With the processor's time that the app took for each request. */
type Round = HttpLoadResult & { readonly cpuUs: number };

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
      about: `An app on a replica, one row read by primary key for each request, ${connections} connections. Bare, then with middleware and guard, in turns; the ratio is that of the medians.`,
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
    const rounds: Record<Kind, Round[]> = { bare: [], plain: [], session: [] };
    const count = quick ? 3 : 7;
    for (let round = 1; round <= count; round += 1) {
      progress(`middleware in ${framework}, round ${round} of ${count}`);
      for (const kind of kinds) {
        const [at, app] = kind === 'bare' ? [barePort, apps[0]] : [port, apps[1]];
        const beforeMs = cpuMsOf(app.pid);
        const result = await load(at, kind, quick);
        rounds[kind].push({ ...result, cpuUs: ((cpuMsOf(app.pid) - beforeMs) * 1_000) / result.requests });
      }
    }
    return figuresOf(framework, rounds);
  } finally {
    for (const app of apps) app.kill();
  }
}

async function load(port: number, kind: Kind, quick: boolean): Promise<HttpLoadResult> {
  const input: HttpLoadInput = {
    port,
    method: 'GET',
    path: '/item',
    connections,
    headers: kind === 'session' ? ['Cookie: __txid=0000000000000001'] : [],
    warmUpMs: 500,
    durationMs: quick ? 1_000 : 2_000,
  };
  const result = await new ChildTask<HttpLoadResult>('http-load.ts', input).result;
  if (result.failed > 0) throw new Error(`${result.failed} requests failed`);
  return result;
}

function figuresOf(framework: Framework, rounds: Record<Kind, readonly Round[]>): Figure[] {
  const rates = (kind: Kind) => rounds[kind].map(({ requestsPerSecond }) => requestsPerSecond);
  const bare = median(rates('bare'));
  return kinds.flatMap((kind) => {
    const id = `middleware.${framework.replace('node:', '')}.${kind}`;
    const rate = figureOf({ id, label: `${framework} ${labels[kind]}`, unit: 'requests/s' }, rates(kind));
    const cpu = figureOf(
      { id: `${id}.cpu`, label: '  CPU time for one request', unit: 'µs' },
      rounds[kind].map(({ cpuUs }) => cpuUs),
    );
    if (kind === 'bare') return [rate, cpu];
    const ratio: Figure = {
      id: `${id}.ratio`,
      label: '  of without the library',
      value: median(rates(kind)) / bare,
      unit: 'times',
      ...(kind === 'plain' ? { target } : {}),
    };
    return [rate, cpu, ratio];
  });
}
