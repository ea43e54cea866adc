import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import { type Cluster, dataDirectoryVariable } from './cluster.ts';
import { processesWith, processTree, signalAll } from './process-tree.ts';

interface Claim {
  pid: number;
  nodes: { name: string; dataDirectory: string }[];
}

const stopTimeoutMs = 15_000;

/** Only one demonstration may use the directory at a time; `--fresh` must never empty one in use. */
export class DirectoryClaim {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /**
   * Claims the directory. Nodes that an earlier run left behind when it was killed are stopped first, and named in
   * `stopped`. Throws when another run is alive.
   */
  static async take(directory: string): Promise<{ claim: DirectoryClaim; stopped: string[] }> {
    mkdirSync(directory, { recursive: true });
    const file = join(directory, 'start.json');
    const earlier = readClaim(file);
    if (earlier && isAlive(earlier.pid)) {
      throw new Error(
        `this is already running, as process ${earlier.pid}; stop it first: kill ${earlier.pid}`,
      );
    }
    const stopped: string[] = [];
    for (const node of earlier?.nodes ?? []) {
      if (await stopLeftover(node.dataDirectory)) stopped.push(node.name);
    }
    rmSync(file, { force: true });
    const claim = new DirectoryClaim(file);
    writeFileSync(file, JSON.stringify({ pid: process.pid, nodes: [] }), { flag: 'wx' });
    return { claim, stopped };
  }

  /** Notes where the nodes are, so that the next run finds them if this one is killed. */
  note(cluster: Cluster): void {
    const nodes = cluster.nodes.map(({ plan }) => ({ name: plan.name, dataDirectory: plan.dataDirectory }));
    writeFileSync(this.#file, JSON.stringify({ pid: process.pid, nodes } satisfies Claim));
  }

  release(): void {
    rmSync(this.#file, { force: true });
  }
}

function readClaim(file: string): Claim | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const claim = JSON.parse(readFileSync(file, 'utf8')) as Claim;
    return Number.isInteger(claim.pid) && Array.isArray(claim.nodes) ? claim : undefined;
  } catch {
    return undefined;
  }
}

/** A process of that number that is one of ours: numbers are used again. */
function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('start.ts');
  } catch {
    return false;
  }
}

/** Stops the node of that directory, a paused one too: its process number is not noted, and could be another's by now. */
async function stopLeftover(dataDirectory: string): Promise<boolean> {
  // The app does not get the node's own variables: only the node has this one.
  const [pid] = processesWith(`${dataDirectoryVariable}=${dataDirectory}`);
  if (pid === undefined) return false;
  signalAll(processTree(pid), 'SIGCONT');
  signalAll([pid], 'SIGTERM');
  const deadline = monotonicMs() + stopTimeoutMs;
  while (existsSync(`/proc/${pid}`) && monotonicMs() < deadline) await sleep(100);
  return true;
}
