import { readdir, readFile } from 'node:fs/promises';
import { Backoff } from '../base/backoff.ts';
import { systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';

/** Sends a signal to every process of the group; false when the group has none left. */
export function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  return send(-groupId, signal);
}

/** Sends SIGKILL to one process; false when there is no such process. */
export function killProcess(pid: number): boolean {
  return send(pid, 'SIGKILL');
}

function send(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    // EPERM: there is a process, but it runs as another user now.
    if (systemCodeOf(error) === 'EPERM') return true;
    if (systemCodeOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Waits until the group has no living process; true when so, false when `signal` aborted before. */
export async function waitForGroupEnd(groupId: number, signal: AbortSignal): Promise<boolean> {
  const backoff = new Backoff(5, 100);
  while (signalGroup(groupId, 0) && !(await holdsOnlyZombies(groupId))) {
    if (signal.aborted) return false;
    await sleep(backoff.nextMs(), signal);
  }
  return true;
}

/**
 * Whether all that is left of the group is dead and not yet collected. A node that is process 1 of its container
 * collects only its own children, so such remains would otherwise count as alive for ever.
 */
async function holdsOnlyZombies(groupId: number): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  for (const pid of await processIds()) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    // The name, in parentheses, may hold anything; state, parent and group follow the last one.
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(group) === groupId && state !== 'Z' && state !== 'X') return false;
  }
  return true;
}

/** Every process on this machine that `/proc` shows; Linux only. */
export async function processIds(): Promise<number[]> {
  const names = await readdir('/proc');
  return names.map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);
}
