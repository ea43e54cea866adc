import { Gauge, Registry } from 'prom-client';
import { listLost } from '../database/lost-entries.ts';
import type { DoorFigures } from '../door/door-figures.ts';
import { addBusMetrics } from './bus-metrics.ts';
import { addCounters, addGauges, type ReadMetric } from './read-metrics.ts';
import type { DatabaseStatus, Replication } from './replication.ts';

const databaseGauges: readonly ReadMetric<DatabaseStatus>[] = [
  {
    name: 'skein_database_txid',
    help: 'Transactions that the database holds.',
    value: ({ position }) => position.txid,
  },
  {
    name: 'skein_database_lag_seconds',
    help: 'How far this node is behind the primary; NaN before its first sync.',
    value: ({ lagMs }) => (lagMs === undefined ? Number.NaN : lagMs / 1000),
  },
  {
    name: 'skein_database_wal_frames',
    help: 'Frames in the write-ahead log.',
    value: ({ walFrames }) => walFrames,
  },
  { name: 'skein_database_log_bytes', help: 'Size of the LTX log.', value: ({ logBytes }) => logBytes },
  {
    name: 'skein_database_recycle_pause_seconds',
    help: 'How long writers waited for the last recycling of the write-ahead log.',
    value: ({ recyclePauseMs }) => (recyclePauseMs ?? 0) / 1000,
  },
];

const doorCounters: readonly ReadMetric<DoorFigures>[] = [
  {
    name: 'skein_door_requests_local_total',
    help: 'Requests that went to the app of this node.',
    value: ({ local }) => local,
  },
  {
    name: 'skein_door_requests_forwarded_total',
    help: 'Requests that went to the primary.',
    value: ({ forwarded }) => forwarded,
  },
  {
    name: 'skein_door_requests_replayed_total',
    help: 'Requests that were sent once more, because the app said so.',
    value: ({ replayed }) => replayed,
  },
  {
    name: 'skein_door_writes_held_total',
    help: 'Writes that had to wait for a node to lead.',
    value: ({ held }) => held,
  },
  {
    name: 'skein_door_writes_refused_total',
    help: 'Writes for which no node came to lead in time.',
    value: ({ unheld }) => unheld,
  },
  {
    name: 'skein_door_reads_waited_total',
    help: 'Reads that had to wait for what their client has written.',
    value: ({ waited }) => waited,
  },
  {
    name: 'skein_door_reads_late_total',
    help: 'Reads that waited for it in vain.',
    value: ({ late }) => late,
  },
  {
    name: 'skein_door_durability_timeouts_total',
    help: 'Responses that went out before their write was as durable as it should be.',
    value: ({ undurable }) => undurable,
  },
  {
    name: 'skein_door_requests_crowded_total',
    help: 'Requests for which no connection to the app, or to another node, came free in time.',
    value: ({ crowded }) => crowded,
  },
];

type DoorPart = {
  readonly figures: DoorFigures;
  readonly connectionCount: number;
  readonly appConnectionCount: number;
};

const doorGauges: readonly ReadMetric<DoorPart>[] = [
  {
    name: 'skein_door_connections',
    help: 'Connections of clients.',
    value: ({ connectionCount }) => connectionCount,
  },
  {
    name: 'skein_door_app_connections',
    help: 'Connections of the door to its app.',
    value: ({ appConnectionCount }) => appConnectionCount,
  },
];

const nodeGauges: readonly ReadMetric<Replication>[] = [
  {
    name: 'skein_is_primary',
    help: '1 on the node that leads.',
    value: ({ role }) => (role === 'primary' ? 1 : 0),
  },
  {
    name: 'skein_is_connected',
    help: '1 on the primary, and on a replica that is connected to it.',
    value: (replication) => (replication.role === 'primary' || replication.primary() ? 1 : 0),
  },
  {
    name: 'skein_replicas_connected',
    help: 'Replicas connected to this primary.',
    value: (replication) => replication.replicas().filter(({ connected }) => connected).length,
  },
];

type LeadershipPart = { readonly epoch: number; readonly validForMs: number };

const leaseGauges: readonly ReadMetric<LeadershipPart>[] = [
  {
    name: 'skein_epoch',
    help: 'The highest epoch that this node has heard of; it rises with every new primary.',
    value: ({ epoch }) => epoch,
  },
  {
    name: 'skein_lease_valid_seconds',
    help: 'For how long this node leads on if it cannot renew the lease; 0 on a replica.',
    value: ({ validForMs }) => validForMs / 1000,
  },
];

export type MetricsParts = {
  replication(): Replication;
  leadership(): LeadershipPart;
  /** Undefined without a door. */
  readonly door: DoorPart | undefined;
  readonly bus: Parameters<typeof addBusMetrics>[1];
  /** Where `.skein/lost` is. */
  readonly hiddenDirectory: string;
  readonly labels: { readonly app: string; readonly node: string; readonly region: string };
};

/** GET /metrics: everything is read when it is asked for, so that it costs nothing between. */
export class NodeMetrics {
  readonly registry = new Registry();

  constructor({ replication, leadership, door, bus, hiddenDirectory, labels }: MetricsParts) {
    const registers = [this.registry];
    this.registry.setDefaultLabels(labels);
    addGauges(this.registry, nodeGauges, replication);
    addGauges(this.registry, leaseGauges, leadership);
    new Gauge({
      name: 'skein_lost_entries',
      help: 'States that this node keeps because the primary did not have them; `skein lost list` shows them.',
      registers,
      collect() {
        this.set(listLost(hiddenDirectory).length);
      },
    });
    new Gauge({
      name: 'skein_database_problem',
      help: '1 while a database stands still; GET /status says why.',
      labelNames: ['database'],
      registers,
      collect() {
        this.reset();
        for (const name of replication().problems().keys()) this.set({ database: name }, 1);
      },
    });
    for (const { name, help, value } of databaseGauges) {
      new Gauge({
        name,
        help,
        labelNames: ['database'],
        registers,
        collect() {
          this.reset();
          for (const database of replication().databases())
            this.set({ database: database.name }, value(database));
        },
      });
    }
    new Gauge({
      name: 'process_resident_memory_bytes',
      help: 'Memory of the node itself, without the app.',
      registers,
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
    addBusMetrics(this.registry, bus);
    if (!door) return;
    addGauges(this.registry, doorGauges, () => door);
    addCounters(this.registry, doorCounters, () => door.figures);
  }
}
