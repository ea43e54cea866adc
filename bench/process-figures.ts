import { readFileSync, writeFileSync } from 'node:fs';

/** Linux counts CPU time for `/proc` in units of this, whatever the kernel's own tick. */
const clockTicksPerSecond = 100;

export type ProcessMemory = {
  readonly residentBytes: number;
  /** The most since the process began, or since `forgetPeakMemory`. */
  readonly peakBytes: number;
};

/** Throws the system's error when the process is gone. */
export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { residentBytes: kilobytes(status, 'VmRSS') * 1024, peakBytes: kilobytes(status, 'VmHWM') * 1024 };
}

/** From now on `peakBytes` counts anew. */
export function forgetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** CPU time that all threads of the process have used, in ms. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond;
}

function kilobytes(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
  if (!match) throw new Error(`/proc has no ${field} for this process`);
  return Number(match[1]);
}
