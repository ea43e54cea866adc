import { readFile } from 'node:fs/promises';
import { sleep } from '../base/sleep.ts';
import { killProcess, processIds } from './process-group.ts';

const roundsMax = 100;
const betweenRoundsMs = 10;

/**
 * Kills every process whose first environment holds the text `marker`: those that left their process group with
 * `setsid` too. Resolves when a look finds none. Only Linux shows the environment; elsewhere this does nothing.
 */
export async function killMarkedProcesses(marker: string): Promise<void> {
  if (process.platform !== 'linux') return;
  // A process may fork between the look and the kill, so one round is not enough once something was found.
  for (let round = 0; round < roundsMax; round++) {
    const pids = await markedProcesses(marker);
    if (pids.length === 0) return;
    for (const pid of pids) killProcess(pid);
    await sleep(betweenRoundsMs);
  }
}

/** The ids of the processes whose first environment holds `marker`; dead ones have none. */
export async function markedProcesses(marker: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await processIds()) {
    // Unreadable: another user's process, or gone since.
    const environment = await readFile(`/proc/${pid}/environ`).catch(() => undefined);
    if (environment?.includes(marker)) found.push(pid);
  }
  return found;
}
