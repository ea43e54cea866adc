import { copyFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { changeRows, createLargeDatabase } from './large-database.ts';
import { figureOf, type Measure, settleDisk } from './measure.ts';
import { BenchCluster } from './nodes.ts';
import { forgetPeakMemory, memoryOf } from './process-figures.ts';
import type { Figure, Target } from './result.ts';
import { sharedClockMs } from './shared-clock.ts';

/** One sync: how fast, by the size of the database, and what the nodes needed at most meanwhile. */
type Sync = {
  readonly megabytesPerSecond: number;
  readonly primaryPeak: number;
  readonly replicaPeak: number;
};

const databaseName = 'large.db';
const mebibyte = 1 << 20;
/** One row in so many is different on the replica before the resync. */
const changedEvery = 100;
const speedTarget: Target = { bound: 'at least', value: 150 };
const memoryTarget: Target = { bound: 'at most', value: 300 };

/** A replica that gets a large database whole, and one whose copy was changed while it was down. */
export const measureSync: Measure = {
  id: 'sync',
  async run(context) {
    const bytes = (context.quick ? 128 : 1024) * mebibyte;
    const count = context.quick ? 1 : 3;
    const template = join(context.directory, databaseName);
    context.progress(`making a database of ${bytes / mebibyte} MiB`);
    createLargeDatabase(template, bytes);
    const first: Sync[] = [];
    const again: Sync[] = [];
    for (let round = 1; round <= count; round += 1) {
      context.progress(`first sync and resync of ${bytes / mebibyte} MiB, round ${round} of ${count}`);
      const cluster = await BenchCluster.plan(join(context.directory, 'sync'), 1);
      try {
        copyFileSync(template, cluster.primary.databasePath(databaseName));
        await settleDisk();
        await cluster.primary.start();
        await cluster.primary.healthy();
        // A database that never changed is sent whole again, whatever differs.
        changeRows(cluster.primary.databasePath(databaseName), changedEvery * 10);
        first.push(await syncOnce(cluster));
        await cluster.replicas[0].stop();
        changeRows(cluster.replicas[0].databasePath(databaseName), changedEvery);
        await settleDisk();
        again.push(await syncOnce(cluster));
      } finally {
        await cluster.discard();
      }
    }
    rmSync(template);
    return {
      id: 'sync',
      title: `Sync of a ${bytes / mebibyte} MiB database`,
      about:
        'From the first answer of the replica’s API to the primary knowing that it holds everything, divided into the size of the database. For the resync, another program changed one page in a hundred of the replica’s file while its node was down; reading that file anew is part of the time. Memory is the highest resident size during the sync.',
      figures: [
        ...syncFigures('first', 'first sync', first),
        ...syncFigures('again', 'resync, 1 % changed', again),
      ],
    };
  },
};

async function syncOnce({ primary, replicas: [replica] }: BenchCluster): Promise<Sync> {
  forgetPeakMemory(primary.pid);
  const { size } = statSync(primary.databasePath(databaseName));
  const startedMs = await replica.start();
  await primary.heldBy(1, databaseName);
  const seconds = (sharedClockMs() - startedMs) / 1000;
  return {
    megabytesPerSecond: size / 1e6 / seconds,
    primaryPeak: memoryOf(primary.pid).peakBytes / 1e6,
    replicaPeak: memoryOf(replica.pid).peakBytes / 1e6,
  };
}

function syncFigures(id: string, label: string, rounds: readonly Sync[]): Figure[] {
  const speed = id === 'first' ? { target: speedTarget } : {};
  return [
    figureOf(
      { id: `sync.${id}.speed`, label, unit: 'MB/s', ...speed },
      rounds.map(({ megabytesPerSecond }) => megabytesPerSecond),
    ),
    figureOf(
      { id: `sync.${id}.primary-memory`, label: '  memory of the primary', unit: 'MB', target: memoryTarget },
      rounds.map(({ primaryPeak }) => primaryPeak),
    ),
    figureOf(
      { id: `sync.${id}.replica-memory`, label: '  memory of the replica', unit: 'MB', target: memoryTarget },
      rounds.map(({ replicaPeak }) => replicaPeak),
    ),
  ];
}
