import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import { createItems, databaseName } from './items.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import { BenchCluster } from './nodes.ts';
import type { ReadInput, ReadResult } from './point-reader.ts';
import type { Figure, Target } from './result.ts';
import type { SteadyInput } from './steady-writer.ts';

type Rounds = { readonly quiet: number[]; readonly written: number[]; readonly replica: number[] };

const rows = 200_000;
const writesPerSecond = 1_000;
const warmUpMs = 500;
const ratioTarget: Target = { bound: 'at least', value: 0.9 };

/** Single rows by primary key, from plain SQLite and from a replica that is applying. */
export const measureReads: Measure = {
  id: 'reads',
  async run(context) {
    const count = context.quick ? 2 : 5;
    const directory = join(context.directory, 'plain');
    mkdirSync(directory, { recursive: true });
    const plainPath = join(directory, databaseName);
    createItems(plainPath, rows);
    const cluster = await BenchCluster.plan(join(context.directory, 'reads'), 1);
    const rounds: Rounds = { quiet: [], written: [], replica: [] };
    try {
      const primaryPath = cluster.primary.databasePath(databaseName);
      createItems(primaryPath, rows);
      await cluster.start();
      await cluster.primary.heldBy(1, databaseName);
      const replicaPath = cluster.replicas[0].databasePath(databaseName);
      for (let round = 0; round < count; round += 1) {
        context.progress(`point reads, round ${round + 1} of ${count}`);
        await settleDisk();
        rounds.quiet.push(await read(context, plainPath));
        rounds.written.push(await readWhileWriting(context, plainPath, plainPath, round));
        rounds.replica.push(await readWhileWriting(context, replicaPath, primaryPath, round));
      }
    } finally {
      await cluster.discard();
      rmSync(directory, { recursive: true });
    }
    return {
      id: 'reads',
      title: 'Point reads',
      about: `One reader process, ${rows.toLocaleString('en')} rows, random primary keys, a prepared statement, a transaction each. “While written” means ${writesPerSecond.toLocaleString('en')} commits/s: by another process to the same plain file, or on the primary whose replica is read. Every commit makes SQLite drop its reader’s page cache.`,
      figures: readFigures(rounds),
    };
  },
};

async function read(context: MeasureContext, path: string): Promise<number> {
  const input: ReadInput = { path, rows, warmUpMs, durationMs: context.quick ? 1_500 : 3_000 };
  return (await new ChildTask<ReadResult>('point-reader.ts', input).result).readsPerSecond;
}

async function readWhileWriting(
  context: MeasureContext,
  path: string,
  writtenPath: string,
  round: number,
): Promise<number> {
  const count = writesPerSecond * 60;
  const input: SteadyInput = { path: writtenPath, firstId: rows + 1 + round * count, count, writesPerSecond };
  const writer = new ChildTask('steady-writer.ts', input);
  try {
    await writer.ready;
    return await read(context, path);
  } finally {
    writer.kill();
    await writer.result.catch(() => undefined);
  }
}

function readFigures({ quiet, written, replica }: Rounds): Figure[] {
  const unit = 'reads/s';
  const ratios = (of: readonly number[]) => replica.map((rate, round) => rate / of[round]);
  return [
    figureOf({ id: 'reads.plain', label: 'plain SQLite', unit }, quiet),
    figureOf({ id: 'reads.plain-written', label: 'plain SQLite, while written', unit }, written),
    figureOf({ id: 'reads.replica', label: 'replica, while written', unit }, replica),
    figureOf(
      { id: 'reads.ratio', label: '  of plain SQLite', unit: 'times', target: ratioTarget },
      ratios(quiet),
    ),
    figureOf(
      { id: 'reads.ratio-written', label: '  of plain SQLite while written', unit: 'times' },
      ratios(written),
    ),
  ];
}
