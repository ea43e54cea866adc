import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';

/** Answers with the first thing that is wrong with a file, or undefined. */
function problemOf(path: string): string | undefined {
  try {
    const connection = new DatabaseSync(path, { readOnly: true });
    const row = connection.prepare('PRAGMA integrity_check(1)').get();
    connection.close();
    return row?.integrity_check === 'ok' ? undefined : String(row?.integrity_check);
  } catch (error) {
    return messageOf(error);
  }
}

parentPort?.postMessage(problemOf(String(workerData)));
