import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ChildTask } from './child-task.ts';
import { type InsertInput, type InsertResult, stallMsMin } from './insert-writer.ts';
import { createItems, databaseName, type Synchronous } from './items.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import { BenchCluster } from './nodes.ts';
import { cpuMsOf } from './process-figures.ts';
import type { Figure, Target } from './result.ts';
import { median, percentile } from './samples.ts';
import { sharedClockMs } from './shared-clock.ts';

type Variant = { readonly id: string; readonly label: string; readonly replicas: number | undefined };
type Round = InsertResult & {
  readonly catchUpMs: number;
  /** CPU time of each node for one insert, the primary first. Unlike a rate, it holds on a busy machine too. */
  readonly cpuMicroseconds: readonly number[];
};

/** `replicas` undefined: no node at all. */
const variants: readonly Variant[] = [
  { id: 'plain', label: 'plain SQLite', replicas: undefined },
  { id: 'alone', label: 'primary alone', replicas: 0 },
  { id: 'one-replica', label: 'primary with one replica', replicas: 1 },
  { id: 'three-replicas', label: 'primary with three replicas', replicas: 3 },
];

const ratioTargets: Record<Synchronous, Target> = {
  NORMAL: { bound: 'at least', value: 0.7 },
  FULL: { bound: 'at least', value: 0.9 },
};
const pauseTarget: Target = { bound: 'at most', value: 100 };

/** Small inserts as fast as one writer can, each in its own transaction. */
export const measureInserts: Measure = {
  id: 'inserts',
  async run(context) {
    const figures: Figure[] = [];
    for (const synchronous of ['NORMAL', 'FULL'] as const) {
      const rounds = await interleavedRounds(context, synchronous);
      figures.push(...rateFigures(rounds, synchronous), ...stallFigures(rounds, synchronous));
    }
    return {
      id: 'inserts',
      title: 'Small inserts',
      about:
        'One writer process, rows of about 100 bytes, a transaction each. Plain SQLite is the same writer in WAL mode with its own automatic checkpoints. A ratio is to the plain round just before.',
      figures,
    };
  },
};

async function interleavedRounds(
  context: MeasureContext,
  synchronous: Synchronous,
): Promise<ReadonlyMap<string, Round[]>> {
  const rounds = new Map<string, Round[]>(variants.map(({ id }) => [id, []]));
  const count = context.quick ? 2 : 5;
  for (let round = 1; round <= count; round += 1) {
    for (const { id, label, replicas } of variants) {
      context.progress(`inserts, synchronous ${synchronous}, round ${round} of ${count}: ${label}`);
      await settleDisk();
      const result =
        replicas === undefined
          ? await plainRound(context, synchronous)
          : await nodeRound(context, synchronous, replicas);
      rounds.get(id)?.push(result);
    }
  }
  return rounds;
}

async function plainRound(context: MeasureContext, synchronous: Synchronous): Promise<Round> {
  const directory = join(context.directory, 'plain');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, databaseName);
  createItems(path, 0);
  const result = await write(context, path, synchronous);
  rmSync(directory, { recursive: true });
  return { ...result, catchUpMs: 0, cpuMicroseconds: [] };
}

async function nodeRound(
  context: MeasureContext,
  synchronous: Synchronous,
  replicas: number,
): Promise<Round> {
  const cluster = await BenchCluster.plan(join(context.directory, 'inserts'), replicas);
  try {
    const path = cluster.primary.databasePath(databaseName);
    createItems(path, 0);
    await cluster.start();
    const nodes = [cluster.primary, ...cluster.replicas];
    const cpuBeforeMs = nodes.map(({ pid }) => cpuMsOf(pid));
    const result = await write(context, path, synchronous);
    const endedMs = sharedClockMs();
    await cluster.primary.heldBy(replicas, databaseName);
    const catchUpMs = sharedClockMs() - endedMs;
    const cpuMicroseconds = nodes.map(
      ({ pid }, index) => ((cpuMsOf(pid) - cpuBeforeMs[index]) * 1000) / result.lastId,
    );
    for (const replica of cluster.replicas) requireRows(replica.databasePath(databaseName), result.lastId);
    return { ...result, catchUpMs, cpuMicroseconds };
  } finally {
    await cluster.discard();
  }
}

function write(context: MeasureContext, path: string, synchronous: Synchronous): Promise<InsertResult> {
  const durationMs = context.quick ? 1_500 : 3_000;
  const input: InsertInput = { path, synchronous, firstId: 1, warmUpMs: 500, durationMs };
  return new ChildTask<InsertResult>('insert-writer.ts', input).result;
}

/** A rate counts only when nothing of it was lost. */
function requireRows(path: string, rows: number): void {
  const database = new DatabaseSync(path, { readOnly: true });
  const found = Number(database.prepare('SELECT count(*) AS rows FROM items').get()?.rows);
  database.close();
  if (found !== rows) throw new Error(`${path} has ${found} rows, the writer made ${rows}`);
}

function rateFigures(rounds: ReadonlyMap<string, Round[]>, synchronous: Synchronous): Figure[] {
  const plain = rounds.get('plain') ?? [];
  return variants.flatMap(({ id, label, replicas }) => {
    const own = rounds.get(id) ?? [];
    const name = `inserts.${synchronous.toLowerCase()}.${id}`;
    const rate = figureOf(
      { id: `${name}.rate`, label: `${synchronous}: ${label}`, unit: 'inserts/s' },
      own.map(({ insertsPerSecond }) => insertsPerSecond),
    );
    if (replicas === undefined) return [rate];
    const target = replicas === 1 ? { target: ratioTargets[synchronous] } : {};
    const ratio = figureOf(
      { id: `${name}.ratio`, label: '  of plain SQLite', unit: 'times', ...target },
      own.map(({ insertsPerSecond }, index) => insertsPerSecond / plain[index].insertsPerSecond),
    );
    if (replicas === 0) return [rate, ratio];
    const catchUp = figureOf(
      { id: `${name}.catch-up`, label: '  all rows on all replicas after the last', unit: 'ms' },
      own.map(({ catchUpMs }) => catchUpMs),
    );
    if (replicas > 1) return [rate, ratio, catchUp];
    return [rate, ratio, catchUp, ...cpuFigures(name, own)];
  });
}

function cpuFigures(name: string, rounds: readonly Round[]): Figure[] {
  return ['primary', 'replica'].map((role, index) =>
    figureOf(
      { id: `${name}.cpu.${role}`, label: `  CPU time of the ${role}'s node for one insert`, unit: 'µs' },
      rounds.map(({ cpuMicroseconds }) => cpuMicroseconds[index]),
    ),
  );
}

/** How long single inserts took, and the long ones alone: a checkpoint, a recycle, or the disk. */
function stallFigures(rounds: ReadonlyMap<string, Round[]>, synchronous: Synchronous): Figure[] {
  return variants
    .filter(({ id }) => id === 'plain' || id === 'one-replica')
    .flatMap(({ id, label }) => {
      const own = rounds.get(id) ?? [];
      const name = `inserts.${synchronous.toLowerCase()}.${id}`;
      const latencies = (['p50', 'p99', 'p999', 'max'] as const).map((part) =>
        figureOf(
          {
            id: `${name}.latency.${part}`,
            label: `${synchronous}: one insert, ${label}, ${part}`,
            unit: 'ms',
          },
          own.map(({ latency }) => latency[part]),
        ),
      );
      const stalls = own.flatMap(({ stallsMs }) => stallsMs).toSorted((a, b) => a - b);
      if (stalls.length === 0) return latencies;
      const pause = {
        id: `${name}.stall.p99`,
        label: `  ${stalls.length} inserts over ${stallMsMin} ms: median ${median(stalls).toFixed(1)}, p99`,
        unit: 'ms',
        value: percentile(stalls, 0.99),
        ...(id === 'plain' ? {} : { target: pauseTarget }),
      };
      return [...latencies, pause];
    });
}
