import { reportReady, reportResult, taskInput } from './child-task.ts';
import { insertItem, openItems, type Synchronous } from './items.ts';
import { type Summary, summarize } from './samples.ts';

export type InsertInput = {
  path: string;
  synchronous: Synchronous;
  firstId: number;
  warmUpMs: number;
  durationMs: number;
};

export type InsertResult = {
  insertsPerSecond: number;
  /** One insert, in ms. */
  latency: Summary;
  /** Every insert that took longer than `stallMsMin`, in rising order, in ms. */
  stallsMs: number[];
  /** The id of the last row. */
  lastId: number;
};

/** No insert takes so long unless it waited for somebody, or for the disk. */
export const stallMsMin = 2;
/** Over twice the frames after which a node recycles the WAL. */
const growthRows = 10_000;
const samplesMax = 4_000_000;
const stallsMax = 10_000;

/** A process that inserts rows as fast as it can, each in a transaction of its own. */
if (import.meta.main) {
  const { path, synchronous, firstId, warmUpMs, durationMs } = taskInput<InsertInput>();
  const database = openItems(path, synchronous);
  const insert = insertItem(database);
  const latencies = new Float64Array(samplesMax);
  reportReady();

  let id = firstId;
  // Until the WAL has the size that it keeps: while it grows, every sync also writes the file system's journal.
  database.exec('PRAGMA synchronous = OFF');
  while (id < firstId + growthRows) insert(id++);
  database.exec(`PRAGMA synchronous = ${synchronous}`);
  const warmUntil = performance.now() + warmUpMs;
  while (performance.now() < warmUntil) insert(id++);

  let count = 0;
  const start = performance.now();
  const end = start + durationMs;
  let now = start;
  while (now < end && count < samplesMax) {
    insert(id++);
    const after = performance.now();
    latencies[count] = after - now;
    count += 1;
    now = after;
  }
  database.close();

  const samples = latencies.subarray(0, count);
  const latency = summarize(samples);
  const stallsMs = [...samples.subarray(samples.findIndex((ms) => ms > stallMsMin))];
  reportResult<InsertResult>({
    insertsPerSecond: (count / (now - start)) * 1000,
    latency,
    stallsMs: latency.max > stallMsMin ? stallsMs.slice(-stallsMax) : [],
    lastId: id - 1,
  });
}
