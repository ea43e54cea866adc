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
import { median } from './samples.ts';

type Writer = ChildTask<RoleWriterResult>;

const nodeCount = 3;
const ttlMs = 2_000;
const target: Target = { bound: 'at most', value: ttlMs + 300 };
/** New primaries write for so long before the next crash, so that there is a first commit. */
const leadMs = 500;

/** From kill -9 of the primary's node to the first commit on the next. */
export const measureCrash: Measure = {
  id: 'crash',
  async run(context) {
    const count = context.quick ? 2 : 6;
    const figures: Figure[] = [];
    for (const lease of availableLeases()) {
      await settleDisk();
      figures.push(...crashFigures(lease, await crashInTurn(context, lease, count)));
    }
    return {
      id: 'crash',
      title: `Crash of the primary, lease TTL ${ttlMs / 1000} s`,
      about:
        'Three nodes and a writer process on each, as for handoffs. The node that leads and its writer get SIGKILL, at different times after a renewal; measured until the return of the first commit on another node. Then the killed node comes back.',
      figures,
    };
  },
};

async function crashInTurn(context: MeasureContext, lease: LeaseKind, count: number): Promise<number[]> {
  const store = await openLeaseStore(lease, context.directory);
  const variables = { ...store.variables, SKEIN_LEASE_TTL: `${ttlMs}ms` };
  const cluster = await Candidates.plan(join(context.directory, 'crash'), nodeCount, variables);
  try {
    await cluster.start();
    const writers = new Map<BenchNode, Writer>(cluster.nodes.map((node) => [node, writerOn(node)]));
    await Promise.all([...writers.values()].map(({ ready }) => ready));
    const crashesMs: number[] = [];
    for (let round = 1; round <= count; round += 1) {
      context.progress(`crash of the primary, ${lease} lease, round ${round} of ${count}`);
      const primary = await cluster.settled();
      await primary.heldBy('replica', databaseName);
      // A hold is renewed three times within its TTL: the rounds spread over the time between two renewals.
      await sleep(leadMs + ((round - 1) * ttlMs) / 3 / count);
      const killedMs = await primary.kill();
      writers.get(primary)?.kill();
      await cluster.settled();
      await sleep(leadMs);
      crashesMs.push((await firstCommitAfter(killedMs, primary, writers)) - killedMs);
      await primary.start();
      await primary.healthy();
      for (const node of cluster.nodes) writers.set(node, writerOn(node));
      await Promise.all([...writers.values()].map(({ ready }) => ready));
    }
    await Promise.all([...writers.values()].map((writer) => writer.finish()));
    return crashesMs;
  } finally {
    await cluster.discard();
    await store.close();
  }
}

/** Ends the writers that are left. */
async function firstCommitAfter(
  killedMs: number,
  killed: BenchNode,
  writers: ReadonlyMap<BenchNode, Writer>,
): Promise<number> {
  const left = [...writers].filter(([node]) => node !== killed);
  const results = await Promise.all(left.map(([, writer]) => writer.finish()));
  const commits = results.flatMap(({ runs }) => runs).map(({ firstMs }) => firstMs);
  const after = commits.filter((firstMs) => firstMs > killedMs);
  if (after.length === 0) throw new Error('nobody wrote after the primary was killed');
  return Math.min(...after);
}

function writerOn(node: BenchNode): Writer {
  const input: RoleWriterInput = { node: node.name, path: node.databasePath(databaseName) };
  return new ChildTask<RoleWriterResult>('role-writer.ts', input);
}

function crashFigures(lease: LeaseKind, rounds: readonly number[]): Figure[] {
  const longest = { id: `crash.${lease}.max`, label: `${lease} lease, longest`, unit: 'ms', target };
  const middle = { id: `crash.${lease}.median`, label: `  median of ${rounds.length}`, unit: 'ms' };
  const spread = { min: Math.min(...rounds), max: Math.max(...rounds) };
  return [figureOf(longest, [spread.max]), { ...middle, value: median(rounds), ...spread }];
}
