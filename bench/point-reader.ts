import { DatabaseSync } from 'node:sqlite';
import { reportReady, reportResult, taskInput } from './child-task.ts';

export type ReadInput = { path: string; rows: number; warmUpMs: number; durationMs: number };
export type ReadResult = { readsPerSecond: number };

/** Reads between two looks at the clock. */
const batch = 64;

/** A process that reads single rows by primary key as fast as it can, each in a transaction of its own. */
if (import.meta.main) {
  const { path, rows, warmUpMs, durationMs } = taskInput<ReadInput>();
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const statement = database.prepare('SELECT body FROM items WHERE id = ?');
  let seed = 1;
  const readFor = (ms: number): number => {
    const start = performance.now();
    let reads = 0;
    while (performance.now() - start < ms) {
      for (let i = 0; i < batch; i += 1) {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        const row = statement.get(1 + (seed % rows));
        if (row === undefined) throw new Error(`row ${1 + (seed % rows)} of ${path} is missing`);
      }
      reads += batch;
    }
    return (reads / (performance.now() - start)) * 1000;
  };
  reportReady();
  readFor(warmUpMs);
  const readsPerSecond = readFor(durationMs);
  database.close();
  reportResult<ReadResult>({ readsPerSecond });
}
