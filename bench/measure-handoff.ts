import { join } from 'node:path';
import { sleep } from '../src/base/sleep.ts';
import { Candidates } from './candidates.ts';
import { ChildTask } from './child-task.ts';
import { databaseName } from './items.ts';
import { availableLeases, type LeaseKind, openLeaseStore } from './lease-store.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import type { BenchNode } from './nodes.ts';
import type { Figure, Target } from './result.ts';
import type { RoleWriterInput, RoleWriterResult } from './role-writer.ts';
import { type Summary, summarize } from './samples.ts';
import { handoffsOf, isClean, rowsOf, type WriteRun } from './write-runs.ts';

type Outcome = {
  readonly gapsMs: Summary;
  readonly clean: number;
  readonly commitsPerSecond: number;
};

const nodeCount = 3;
/** Writers write on for so long before each handoff. */
const leadMs = 300;
const targets: Partial<Record<keyof Summary, Target>> = {
  p50: { bound: 'at most', value: 10 },
  p99: { bound: 'at most', value: 40 },
};

/** From the last commit on the old primary to the first on the new one, while the app writes as fast as it can. */
export const measureHandoff: Measure = {
  id: 'handoff',
  async run(context) {
    const count = context.quick ? 10 : 50;
    const figures: Figure[] = [];
    for (const lease of availableLeases().filter((kind) => kind !== 'redis')) {
      context.progress(`${count} handoffs under full write load, ${lease} lease`);
      await settleDisk();
      figures.push(...handoffFigures(lease, count, await handOffInTurn(context, lease, count)));
    }
    return {
      id: 'handoff',
      title: `Handoff under full write load, ${count} times`,
      about:
        'Three nodes, and a writer process on each that tries to commit small rows all the time, twice per millisecond while it is refused. The gap is from the return of the last commit on the old primary to that of the first on the new one. Clean: answered without an error, no node ended, and the new primary went on with the very next row. In the end all nodes are compared byte by byte, and the rows with what the writers counted.',
      figures,
    };
  },
};

async function handOffInTurn(context: MeasureContext, lease: LeaseKind, count: number): Promise<Outcome> {
  const store = await openLeaseStore(lease, context.directory);
  const cluster = await Candidates.plan(join(context.directory, 'handoff'), nodeCount, store.variables);
  try {
    await cluster.start();
    const writers = cluster.nodes.map((node) => {
      const input: RoleWriterInput = { node: node.name, path: node.databasePath(databaseName) };
      return new ChildTask<RoleWriterResult>('role-writer.ts', input);
    });
    await Promise.all(writers.map(({ ready }) => ready));
    let failed = 0;
    let ended: BenchNode | undefined;
    for (let done = 0; done < count && !ended; done += 1) {
      await sleep(leadMs);
      const from = await cluster.settled();
      const to = cluster.nodes[(cluster.nodes.indexOf(from) + 1) % nodeCount];
      const { isDone, text } = await from.post('/handoff', { node: to.name });
      if (!isDone) failed += 1;
      if (!isDone) context.progress(`  handoff ${done + 1} of ${count}: ${text.trim()}`);
      ended = cluster.nodes.find(({ isRunning }) => !isRunning);
    }
    await sleep(leadMs);
    ended ??= cluster.nodes.find(({ isRunning }) => !isRunning);
    const runs = (await Promise.all(writers.map((writer) => writer.finish()))).flatMap(
      (result) => result.runs,
    );
    // Without its node a writer is held back by nobody: what it wrote then says nothing, and the rest is not tried.
    if (ended) context.progress(`  node ${ended.name} has ended; its log ends:\n${ended.lastLines()}`);
    else await requireAllRows(context, cluster, runs);
    return outcomeOf(runs, failed + (ended ? 1 : 0));
  } finally {
    await cluster.discard();
    await store.close();
  }
}

/** What handoffs lost is told; what they do not account for fails the run. */
async function requireAllRows(
  context: MeasureContext,
  cluster: Candidates,
  runs: readonly WriteRun[],
): Promise<void> {
  const unclean = handoffsOf(runs).filter((handoff) => !isClean(handoff));
  for (const { from, to, gapMs, lostRows } of unclean)
    context.progress(`  ${from} to ${to}: ${lostRows} rows lost, gap ${Math.round(gapMs)} ms`);
  if (unclean.length > 0)
    for (const node of cluster.nodes)
      context.progress(`  the log of ${node.name} ends:\n${node.lastLines()}`);
  const lost = unclean.reduce((sum, { lostRows }) => sum + lostRows, 0);
  await cluster.requireSame(rowsOf(runs) + 1 - lost);
}

function outcomeOf(runs: readonly WriteRun[], failed: number): Outcome {
  const handoffs = handoffsOf(runs);
  const firstMs = Math.min(...runs.map((run) => run.firstMs));
  const lastMs = Math.max(...runs.map((run) => run.lastMs));
  return {
    gapsMs: summarize(Float64Array.from(handoffs, ({ gapMs }) => gapMs)),
    clean: handoffs.filter(isClean).length - failed,
    commitsPerSecond: (rowsOf(runs) * 1000) / (lastMs - firstMs),
  };
}

function handoffFigures(lease: LeaseKind, count: number, outcome: Outcome): Figure[] {
  const gaps = (['p50', 'p99', 'max'] as const).map((part) => {
    const target = targets[part];
    const label = `${lease} lease, gap, ${part}`;
    return figureOf({ id: `handoff.${lease}.${part}`, label, unit: 'ms', ...(target ? { target } : {}) }, [
      outcome.gapsMs[part],
    ]);
  });
  const everyOne: Target = { bound: 'at least', value: count };
  const rate = Math.round(outcome.commitsPerSecond).toLocaleString('en');
  const clean = {
    id: `handoff.${lease}.clean`,
    label: `  clean (while ${rate} commits/s)`,
    unit: `of ${count}`,
    target: everyOne,
  };
  return [...gaps, figureOf(clean, [outcome.clean])];
}
