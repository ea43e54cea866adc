import { join } from 'node:path';
import type { BusInput, CacheResult, CallResult, ListenResult } from './bus-process.ts';
import { Candidates } from './candidates.ts';
import { ChildTask } from './child-task.ts';
import { databaseName } from './items.ts';
import { openLeaseStore } from './lease-store.ts';
import { figureOf, type Measure, type MeasureContext, settleDisk } from './measure.ts';
import type { BenchNode } from './nodes.ts';
import type { Figure, Target } from './result.ts';

const nodeCount = 3;
const getTarget: Target = { bound: 'at most', value: 5 };
const broadcastTarget: Target = { bound: 'at most', value: 2 };

type Round = {
  readonly fromReplica: CallResult;
  readonly onPrimary: CallResult;
  readonly cache: CacheResult;
  readonly broadcast: ListenResult;
};

/** What processes of the app say to each other by way of their nodes. */
export const measureBus: Measure = {
  id: 'bus',
  async run(context) {
    const store = await openLeaseStore('file', context.directory);
    const cluster = await Candidates.plan(join(context.directory, 'bus'), nodeCount, store.variables);
    const rounds: Round[] = [];
    try {
      await cluster.start();
      const primary = await cluster.settled();
      await primary.heldBy('replica', databaseName);
      const count = context.quick ? 1 : 3;
      for (let round = 1; round <= count; round += 1) {
        context.progress(`bus, round ${round} of ${count}`);
        await settleDisk();
        rounds.push(await busRound(context, cluster, primary));
      }
    } finally {
      await cluster.discard();
      await store.close();
    }
    return {
      id: 'bus',
      title: 'Calls on the primary, cache and channels, on loopback',
      about:
        'Three nodes, each with a process of the app. A call runs a function in the process of the primary; one that writes answers when a standby holds the row, and the caller’s node too. Cache: one process, 1,000 keys, the mean of many. Broadcast: published in a process of one node, until a process of another has it, at 500 messages/s.',
      figures: figuresOf(rounds),
    };
  },
};

async function busRound({ quick }: MeasureContext, cluster: Candidates, primary: BenchNode): Promise<Round> {
  const replica = cluster.nodes.find((node) => node !== primary) ?? primary;
  const calls = quick ? 1_000 : 3_000;
  const server = start(primary, 'serve', 0);
  try {
    await server.ready;
    const fromReplica = await start<CallResult>(replica, 'call', calls).result;
    const onPrimary = await start<CallResult>(primary, 'call', calls).result;
    const cache = await start<CacheResult>(replica, 'cache', quick ? 100_000 : 300_000).result;
    const listener = start<ListenResult>(replica, 'listen', quick ? 1_000 : 2_000);
    await listener.ready;
    const publisher = start(primary, 'publish', 0);
    const broadcast = await listener.result;
    await publisher.finish();
    return { fromReplica, onPrimary, cache, broadcast };
  } finally {
    await server.finish();
  }
}

function start<Result>(node: BenchNode, task: BusInput['task'], count: number): ChildTask<Result> {
  const input: BusInput = { url: node.url, path: node.databasePath(databaseName), task, count };
  return new ChildTask<Result>('bus-process.ts', input);
}

function figuresOf(rounds: readonly Round[]): Figure[] {
  const figure = (id: string, label: string, unit: string, of: (round: Round) => number, target?: Target) =>
    figureOf({ id: `bus.${id}`, label, unit, ...(target ? { target } : {}) }, rounds.map(of));
  return [
    ...(['p50', 'p99'] as const).flatMap((part) => [
      figure(
        `call.read.${part}`,
        `onPrimary from a replica, no write, ${part}`,
        'ms',
        (round) => round.fromReplica.read[part],
      ),
      figure(
        `call.write.${part}`,
        `onPrimary from a replica, one row, durable and here, ${part}`,
        'ms',
        (round) => round.fromReplica.write[part],
      ),
      figure(
        `call.local.${part}`,
        `onPrimary on the primary itself, no write, ${part}`,
        'ms',
        (round) => round.onPrimary.read[part],
      ),
    ]),
    figure('cache.get', 'cache get', 'µs', ({ cache }) => cache.getUs, getTarget),
    figure('cache.set', 'cache set', 'µs', ({ cache }) => cache.setUs),
    figure(
      'broadcast.p50',
      'broadcast to another node, p50',
      'ms',
      ({ broadcast }) => broadcast.delayMs.p50,
      broadcastTarget,
    ),
    figure('broadcast.p99', 'broadcast to another node, p99', 'ms', ({ broadcast }) => broadcast.delayMs.p99),
  ];
}
