import { Counter, Gauge, type Registry } from 'prom-client';

/** A figure that is read from its source when it is asked for, so that it costs nothing between. */
export type ReadMetric<Source> = {
  readonly name: string;
  readonly help: string;
  value(source: Source): number;
};

export function addGauges<Source>(
  registry: Registry,
  metrics: readonly ReadMetric<Source>[],
  source: () => Source,
): void {
  for (const { name, help, value } of metrics) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value(source()));
      },
    });
  }
}

/** Of figures that only rise. */
export function addCounters<Source>(
  registry: Registry,
  metrics: readonly ReadMetric<Source>[],
  source: () => Source,
): void {
  for (const { name, help, value } of metrics) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value(source()));
      },
    });
  }
}
