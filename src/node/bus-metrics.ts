import { Counter, Gauge, type Registry } from 'prom-client';
import type { Bus, BusSizes } from '../bus/bus.ts';
import { type BusFigures, outcomes } from '../bus/bus-figures.ts';
import { addCounters, addGauges, type ReadMetric } from './read-metrics.ts';

type BusPart = Pick<Bus, 'figures' | 'sizes'>;

const gauges: readonly ReadMetric<BusSizes>[] = [
  {
    name: 'skein_bus_nodes_linked',
    help: 'Other nodes that this one is linked with.',
    value: ({ nodes }) => nodes,
  },
  {
    name: 'skein_bus_processes_linked',
    help: 'Processes of the app that are linked with this node.',
    value: ({ processes }) => processes,
  },
  {
    name: 'skein_bus_calls_under_way',
    help: 'Calls that processes of this node wait for.',
    value: ({ calls }) => calls,
  },
  {
    name: 'skein_bus_runs_under_way',
    help: 'Functions that run on this node for callers of all nodes.',
    value: ({ runs }) => runs,
  },
];

const cacheGauges = [
  { name: 'skein_bus_cache_entries', help: 'Keys in the copy of a cache on this node.', of: 'entries' },
  { name: 'skein_bus_cache_bytes', help: 'Size of the copy of a cache on this node, about.', of: 'bytes' },
] as const;

const messageCounters: readonly ReadMetric<BusFigures>[] = [
  {
    name: 'skein_bus_messages_received_total',
    help: 'Messages of channels that came from processes and nodes.',
    value: ({ received }) => received,
  },
  {
    name: 'skein_bus_messages_sent_total',
    help: 'The same that went to processes and nodes, once for each.',
    value: ({ sent }) => sent,
  },
  {
    name: 'skein_bus_messages_dropped_total',
    help: 'Those that were dropped on their way, because a process or a node did not read.',
    value: ({ dropped }) => dropped,
  },
];

/** Adds what the bus tells of itself. Labels have few values: the outcomes, and the names of as many caches as a node takes. */
export function addBusMetrics(registry: Registry, bus: BusPart): void {
  const registers = [registry];
  addGauges(registry, gauges, () => bus.sizes());
  for (const { name, help, of } of cacheGauges) {
    new Gauge({
      name,
      help,
      labelNames: ['cache'],
      registers,
      collect() {
        this.reset();
        for (const cache of bus.sizes().caches) this.set({ cache: cache.name }, cache[of]);
      },
    });
  }
  new Counter({
    name: 'skein_bus_calls_total',
    help: 'Calls of processes of this node that have ended, and how.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const outcome of outcomes) this.inc({ outcome }, bus.figures.calls(outcome));
    },
  });
  addCounters(registry, messageCounters, () => bus.figures);
}
