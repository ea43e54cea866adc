import { setImmediate as nextTurn } from 'node:timers/promises';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { insertNextItem, openItems } from './items.ts';
import { pauseMs, sharedClockMs } from './shared-clock.ts';
import { type WriteRun, WriteRuns } from './write-runs.ts';

export type RoleWriterInput = { node: string; path: string };

export type RoleWriterResult = { runs: readonly WriteRun[] };

const busyErrorCode = 5;
/** Between two attempts of a writer that is refused: the half of it, on average, is in every gap. */
const retryMs = 0.5;
/** How long it works before it looks whether it was asked to end. */
const turnMs = 5;

/**
 * An app's process on one node: it commits rows as fast as it can whenever its node lets it, on one connection that stays
 * open through every change of roles.
 */
if (import.meta.main) {
  const { node, path } = taskInput<RoleWriterInput>();
  const database = openItems(path);
  // Refused is refused at once: SQLite's own waits become longer and longer.
  database.exec('PRAGMA busy_timeout = 0');
  const insert = insertNextItem(database);
  const runs = new WriteRuns(node);
  let isAskedToEnd = false;
  process.on('SIGTERM', () => {
    isAskedToEnd = true;
  });
  reportReady();

  while (!isAskedToEnd) {
    const turnEndsMs = sharedClockMs() + turnMs;
    for (let nowMs = 0; nowMs < turnEndsMs; ) {
      const id = tried(insert);
      nowMs = sharedClockMs();
      if (id === undefined) pauseMs(retryMs);
      else runs.add(id, nowMs);
    }
    await nextTurn();
  }
  database.close();
  reportResult<RoleWriterResult>({ runs: runs.finish() });
}

/** Undefined when somebody else has WRITE. Throws SQLite's error for everything else. */
function tried(insert: () => number): number | undefined {
  try {
    return insert();
  } catch (error) {
    // The low byte: there are several kinds of busy.
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
    if (code !== busyErrorCode) throw error;
    return undefined;
  }
}
