import { join } from 'node:path';
import { Candidates } from './candidates.ts';
import { ChildTask } from './child-task.ts';
import { databaseName } from './items.ts';
import { openLeaseStore } from './lease-store.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import type { BenchNode } from './nodes.ts';
import type { Figure, Target } from './result.ts';
import type { WaitInput, WaitResult } from './wait-writer.ts';

const durabilities = ['local', 'replica'] as const;
type Durability = (typeof durabilities)[number];

const nodeCount = 2;
const writesPerSecond = 1_000;
const target: Target = { bound: 'at most', value: 1 };
const labels: Record<Durability, string> = {
  local: 'POST /wait, local',
  replica: 'POST /wait, replica',
};

/** What an app waits for an acknowledged write beyond the write itself. */
export const measureWait: Measure = {
  id: 'wait',
  async run(context) {
    const rounds: Record<Durability, WaitResult[]> = { local: [], replica: [] };
    const store = await openLeaseStore('file', context.directory);
    const cluster = await Candidates.plan(join(context.directory, 'wait'), nodeCount, store.variables);
    try {
      await cluster.start();
      const primary = await cluster.settled();
      await primary.heldBy('replica', databaseName);
      const count = context.quick ? 1 : 3;
      for (let round = 1; round <= count; round += 1) {
        for (const durability of durabilities) {
          context.progress(`wait for ${durability} durability, round ${round} of ${count}`);
          await settleDisk();
          rounds[durability].push(await waitRound(context, primary, durability));
        }
      }
    } finally {
      await cluster.discard();
      await store.close();
    }
    return {
      id: 'wait',
      title: `Waiting for durability at ${writesPerSecond.toLocaleString('en')} writes/s`,
      about:
        'A primary and one replica. A writer commits at a steady rate and sends POST /wait after each commit, over connections that stay open; the time of the wait alone, as the writer sees it. With durability local the node answers when it has captured the commit: what HTTP and the capture cost.',
      figures: durabilities.flatMap((durability) => waitFigures(durability, rounds[durability])),
    };
  },
};

function waitRound(
  { quick }: MeasureContext,
  primary: BenchNode,
  durability: Durability,
): Promise<WaitResult> {
  const input: WaitInput = {
    path: primary.databasePath(databaseName),
    url: primary.url,
    database: databaseName,
    durability,
    writesPerSecond,
    warmUpMs: 1_000,
    durationMs: quick ? 3_000 : 5_000,
  };
  return new ChildTask<WaitResult>('wait-writer.ts', input).result;
}

function waitFigures(durability: Durability, rounds: readonly WaitResult[]): Figure[] {
  const reached = Math.min(...rounds.map((round) => round.writesPerSecond));
  const slowest = `slowest round: ${Math.round(reached).toLocaleString('en')} writes/s`;
  return (['p50', 'p99'] as const).map((part) =>
    figureOf(
      {
        id: `wait.${durability}.${part}`,
        label: `${labels[durability]}, ${part}${part === 'p99' ? ` (${slowest})` : ''}`,
        unit: 'ms',
        ...(durability === 'replica' && part === 'p50' ? { target } : {}),
      },
      rounds.map(({ latency }) => latency[part]),
    ),
  );
}
