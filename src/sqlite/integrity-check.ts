import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Runs SQLite's `integrity_check` over a file in a thread of its own. Returns the first problem, undefined for none. */
export async function integrityProblem(path: string): Promise<string | undefined> {
  const thread = new URL(import.meta.url.replace(/integrity-check\.(ts|js)$/, 'integrity-thread.$1'));
  const worker = new Worker(thread, { workerData: path });
  const [problem] = await once(worker, 'message');
  return problem === undefined ? undefined : String(problem);
}
