import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import { createItems, databaseName } from './items.ts';
import type { LagInput, LagResult } from './lag-reader.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import { BenchCluster } from './nodes.ts';
import type { Figure, Target } from './result.ts';
import { percentile, type Summary, summarize } from './samples.ts';
import type { SteadyInput, SteadyResult } from './steady-writer.ts';

type Round = Summary & { readonly gapMs: Summary; readonly writesPerSecond: number };

const rates = [100, 1_000, 10_000];
const warmUpMs = 1_000;
const pollMs = 0.01;
const targets: Record<string, Target> = {
  '1000.p50': { bound: 'at most', value: 0.5 },
  '1000.p99': { bound: 'at most', value: 5 },
};

/** From a commit on the primary to the moment a reader of the replica's file sees it. */
export const measureLag: Measure = {
  id: 'lag',
  async run(context) {
    const figures: Figure[] = [];
    for (const rate of rates) {
      const rounds: Round[] = [];
      const count = context.quick ? 1 : 3;
      for (let round = 1; round <= count; round += 1) {
        context.progress(`lag at ${rate} writes/s, round ${round} of ${count}`);
        await settleDisk();
        rounds.push(await lagRound(context, rate));
      }
      figures.push(...lagFigures(rate, rounds));
    }
    return {
      id: 'lag',
      title: 'Commit to visible on a replica',
      about:
        'A writer process commits rows at a steady rate on the primary and notes when each commit has returned; a reader process polls the newest row in the replica’s file. One clock for both. The time between two looks, given last, is the resolution: on average half of it is in every lag.',
      figures,
    };
  },
};

async function lagRound(context: MeasureContext, rate: number): Promise<Round> {
  const cluster = await BenchCluster.plan(join(context.directory, 'lag'), 1);
  try {
    const primaryPath = cluster.primary.databasePath(databaseName);
    createItems(primaryPath, 1);
    await cluster.start();
    await cluster.primary.heldBy(1, databaseName);
    const durationMs = (context.quick ? 3_000 : 5_000) + warmUpMs;
    const rows = { firstId: 2, count: Math.round((rate * durationMs) / 1000) };
    const lagInput: LagInput = {
      path: cluster.replicas[0].databasePath(databaseName),
      ...rows,
      pollMs,
      timeoutMs: durationMs * 4,
    };
    const reader = new ChildTask<LagResult>('lag-reader.ts', lagInput);
    await reader.ready;
    const steadyInput: SteadyInput = { path: primaryPath, ...rows, writesPerSecond: rate };
    const writer = new ChildTask<SteadyResult>('steady-writer.ts', steadyInput);
    const [{ committedMs, writesPerSecond }, { seenMs, gapsMs }] = await Promise.all([
      writer.result,
      reader.result,
    ]);
    if (seenMs.includes(0)) throw new Error(`${seenMs.indexOf(0)} of ${rows.count} rows came to the replica`);
    const skipped = Math.round((rate * warmUpMs) / 1000);
    const lags = Float64Array.from(
      seenMs.slice(skipped),
      (seen, index) => seen - committedMs[skipped + index],
    );
    return { ...summarize(lags), gapMs: summarize(Float64Array.from(gapsMs)), writesPerSecond };
  } finally {
    await cluster.discard();
  }
}

function lagFigures(rate: number, rounds: readonly Round[]): Figure[] {
  const lags = (['p50', 'p99', 'max'] as const).map((part) => {
    const target = targets[`${rate}.${part}`];
    const label = `${rate.toLocaleString('en')} writes/s, ${part}`;
    return figureOf(
      { id: `lag.${rate}.${part}`, label, unit: 'ms', ...(target ? { target } : {}) },
      rounds.map((round) => round[part]),
    );
  });
  const reached = percentile(
    rounds.map(({ writesPerSecond }) => writesPerSecond).toSorted((a, b) => a - b),
    0,
  );
  const gap = figureOf(
    {
      id: `lag.${rate}.resolution`,
      label: `  between two looks, p50 (slowest round: ${Math.round(reached).toLocaleString('en')} writes/s)`,
      unit: 'ms',
    },
    rounds.map(({ gapMs }) => gapMs.p50),
  );
  return [...lags, gap];
}
