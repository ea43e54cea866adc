import { Gauge, Registry } from 'prom-client';
import type { DatabaseStatus, Replication } from './replication.ts';

type DatabaseGauge = {
  readonly name: string;
  readonly help: string;
  value(database: DatabaseStatus): number;
};

const databaseGauges: readonly DatabaseGauge[] = [
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

/** GET /metrics: everything is read when it is asked for, so that it costs nothing between. */
export class NodeMetrics {
  readonly registry = new Registry();

  constructor(
    replication: () => Replication,
    labels: { readonly app: string; readonly node: string; readonly region: string },
  ) {
    const registers = [this.registry];
    this.registry.setDefaultLabels(labels);
    new Gauge({
      name: 'skein_is_primary',
      help: '1 on the node that leads.',
      registers,
      collect() {
        this.set(replication().role === 'primary' ? 1 : 0);
      },
    });
    new Gauge({
      name: 'skein_is_connected',
      help: '1 on the primary, and on a replica that is connected to it.',
      registers,
      collect() {
        const current = replication();
        this.set(current.role === 'primary' || current.primary() ? 1 : 0);
      },
    });
    new Gauge({
      name: 'skein_replicas_connected',
      help: 'Replicas connected to this primary.',
      registers,
      collect() {
        this.set(
          replication()
            .replicas()
            .filter(({ connected }) => connected).length,
        );
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
  }
}
