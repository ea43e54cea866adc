import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from './wait-for.ts';

const triesMax = 50;

/**
 * Has a node's process stand still, as its machine would, until SIGCONT. Not in the moment in which it holds the lock of a file lease:
 * the nodes of a test share one machine, and all others would wait for that lock, which no machine of its own could keep from them.
 */
export async function pause(pid: number): Promise<void> {
  for (let tries = 1; tries <= triesMax; tries += 1) {
    process.kill(pid, 'SIGSTOP');
    await waitFor(`process ${pid} to stand still`, () => /^T/.test(stateOf(pid)));
    if (!filesOf(pid).some((path) => path.endsWith('/lease/lock'))) return;
    process.kill(pid, 'SIGCONT');
    await delay(5);
  }
  throw new Error(`process ${pid} holds the lock of its lease all the time`);
}

/** As `/proc` has it: R, S, D, T … */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2);
}

function filesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((name) => readlinkSync(`/proc/${pid}/fd/${name}`));
}
