import { readdirSync, readFileSync } from 'node:fs';

/** A process and everything that it started, parents first; those that left their group or session too. */
export function processTree(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const pid of processIds()) {
    const parent = parentOf(pid);
    if (parent !== undefined) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid]);
  }
  const tree = [root];
  // The array grows while it is walked: each found process is asked for its own children.
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []));
  return tree;
}

/** The processes that were started with the variable `NAME=value` in their environment. */
export function processesWith(variable: string): number[] {
  return processIds().filter((pid) => readProcess(pid, 'environ').split('\0').includes(variable));
}

/** Sends the signal to each; one that has ended is passed over. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone since the look.
    }
  }
}

function processIds(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}

function parentOf(pid: number): number | undefined {
  const stat = readProcess(pid, 'stat');
  // The name, in parentheses, may hold anything; state and parent follow the last one.
  const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
  return parent ? Number(parent) : undefined;
}

/** Empty for a process that is gone, or another user's. */
function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
