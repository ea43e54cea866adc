import { DatabaseSync } from 'node:sqlite';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { pauseMs, sharedClockMs } from './shared-clock.ts';

export type LagInput = { path: string; firstId: number; count: number; pollMs: number; timeoutMs: number };

export type LagResult = {
  /** When each row was first seen, in order, by the shared clock in ms; a row that never came has 0. */
  seenMs: number[];
  /** Time between two looks, in ms, in no order: no lag is known more exactly. */
  gapsMs: number[];
};

const gapsMax = 100_000;

/** A process that looks again and again for the newest row, as a reader of the replica's file would. */
if (import.meta.main) {
  const { path, firstId, count, pollMs, timeoutMs } = taskInput<LagInput>();
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const newest = database.prepare('SELECT max(id) AS id FROM items');
  const seenMs = new Float64Array(count);
  const gapsMs = new Float64Array(gapsMax);
  let looks = 0;
  let next = 0;
  reportReady();

  const deadline = sharedClockMs() + timeoutMs;
  let last = sharedClockMs();
  while (next < count && last < deadline) {
    const id = Number(newest.get()?.id ?? 0);
    const now = sharedClockMs();
    // Only looks while rows come: before and after, nothing depends on them.
    if (next > 0 && looks < gapsMax) gapsMs[looks++] = now - last;
    last = now;
    if (id < firstId + next) {
      pauseMs(pollMs);
      continue;
    }
    const seen = Math.min(count, id - firstId + 1);
    seenMs.fill(now, next, seen);
    next = seen;
  }
  database.close();
  reportResult<LagResult>({ seenMs: [...seenMs], gapsMs: [...gapsMs.subarray(0, looks)] });
}
