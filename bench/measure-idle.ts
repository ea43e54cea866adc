import { join } from 'node:path';
import { sleep } from '../src/base/sleep.ts';
import { ChildTask } from './child-task.ts';
import type { InsertInput } from './insert-writer.ts';
import { createItems, databaseName } from './items.ts';
import { figureOf, type Measure } from './measure.ts';
import { BenchCluster, type BenchNode } from './nodes.ts';
import { cpuMsOf, memoryOf } from './process-figures.ts';
import type { Figure, Target } from './result.ts';

type Idle = { readonly megabytes: number; readonly cpuPercent: number };
type State = 'fresh' | 'worked';
type Role = 'primary' | 'replica';

const rows = 1_000;
const restMs = 5_000;
const memoryTarget: Target = { bound: 'at most', value: 100 };
const states: readonly { id: State; label: string }[] = [
  { id: 'fresh', label: 'idle since its start' },
  { id: 'worked', label: 'idle after 3 s of inserts at full speed' },
];

/** What nodes take while nothing happens. */
export const measureIdle: Measure = {
  id: 'idle',
  async run(context) {
    const rounds: Record<State, Record<Role, Idle[]>> = {
      fresh: { primary: [], replica: [] },
      worked: { primary: [], replica: [] },
    };
    const count = context.quick ? 1 : 3;
    for (let round = 1; round <= count; round += 1) {
      context.progress(`idle nodes, round ${round} of ${count}`);
      const cluster = await BenchCluster.plan(join(context.directory, 'idle'), 1);
      const nodes = { primary: cluster.primary, replica: cluster.replicas[0] };
      try {
        const path = cluster.primary.databasePath(databaseName);
        createItems(path, rows);
        await cluster.start();
        await observe(nodes, rounds.fresh);
        await new ChildTask('insert-writer.ts', insertsAfter(path)).result;
        await cluster.primary.heldBy(1, databaseName);
        await observe(nodes, rounds.worked);
      } finally {
        await cluster.discard();
      }
    }
    return {
      id: 'idle',
      title: 'Idle nodes',
      about: `Resident memory after ${restMs / 1000} s of rest, and CPU time over the ${restMs / 1000} s after that, 100 % being one core. About 50 MB of every node is Node.js itself.`,
      figures: states.flatMap(({ id, label }) => [
        ...idleFigures(`idle.${id}.primary`, `primary, ${label}`, rounds[id].primary),
        ...idleFigures(`idle.${id}.replica`, `replica, ${label}`, rounds[id].replica),
      ]),
    };
  },
};

function insertsAfter(path: string): InsertInput {
  return { path, synchronous: 'NORMAL', firstId: rows + 1, warmUpMs: 0, durationMs: 3_000 };
}

async function observe(nodes: Record<Role, BenchNode>, into: Record<Role, Idle[]>): Promise<void> {
  const roles = ['primary', 'replica'] as const;
  await sleep(restMs);
  const before = roles.map((role) => ({
    cpuMs: cpuMsOf(nodes[role].pid),
    bytes: memoryOf(nodes[role].pid).residentBytes,
  }));
  await sleep(restMs);
  for (const [index, role] of roles.entries()) {
    const usedMs = cpuMsOf(nodes[role].pid) - before[index].cpuMs;
    into[role].push({ megabytes: before[index].bytes / 1e6, cpuPercent: (usedMs / restMs) * 100 });
  }
}

function idleFigures(id: string, label: string, rounds: readonly Idle[]): Figure[] {
  return [
    figureOf(
      { id: `${id}.memory`, label, unit: 'MB', target: memoryTarget },
      rounds.map(({ megabytes }) => megabytes),
    ),
    figureOf(
      { id: `${id}.cpu`, label: '  CPU', unit: '% of a core' },
      rounds.map(({ cpuPercent }) => cpuPercent),
    ),
  ];
}
