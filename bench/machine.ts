import { cpus, loadavg, release, totalmem, type } from 'node:os';
import type { Report } from './result.ts';

/** The machine and the versions that a report is only true for. */
export function describeMachine(): Report['machine'] {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown processor',
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    sqlite: process.versions.sqlite ?? 'unknown',
    loadBefore: loadavg()[0],
  };
}
