import { reportReady, reportResult, taskInput } from './child-task.ts';
import { insertItem, openItems } from './items.ts';
import { pauseMs, sharedClockMs } from './shared-clock.ts';

export type SteadyInput = { path: string; firstId: number; count: number; writesPerSecond: number };

/** When each row was committed, in order, by the shared clock in ms; and the rate that was really reached. */
export type SteadyResult = { committedMs: number[]; writesPerSecond: number };

/** A process that commits one row at a time at a steady rate; one that was held up catches up. */
if (import.meta.main) {
  const { path, firstId, count, writesPerSecond } = taskInput<SteadyInput>();
  const database = openItems(path);
  const insert = insertItem(database);
  const committedMs = new Float64Array(count);
  reportReady();

  const start = sharedClockMs();
  for (let done = 0; done < count; ) {
    const due = Math.min(count, Math.floor(((sharedClockMs() - start) * writesPerSecond) / 1000) + 1);
    if (done >= due) {
      pauseMs(Math.min(5, Math.max(0.02, start + (done * 1000) / writesPerSecond - sharedClockMs())));
      continue;
    }
    insert(firstId + done);
    committedMs[done] = sharedClockMs();
    done += 1;
  }
  const seconds = (committedMs[count - 1] - start) / 1000;
  database.close();
  reportResult<SteadyResult>({ committedMs: [...committedMs], writesPerSecond: count / seconds });
}
