import { failpoint } from '../base/failpoint.ts';
import type { Log } from '../log/log.ts';
import type { RecordWriter } from '../log/record-writer.ts';
import type { LtxHeader } from '../ltx/header.ts';
import type { Position } from '../ltx/position.ts';
import type { Applier } from './applier.ts';

/** One LTX file on its way into a replica's database. */
export type ReplicaApply = {
  /** The chunk stays the caller's. Throws `LTX_INVALID`, `POSITION_MISMATCH`, or the system's error; `abort` then. */
  push(chunk: Uint8Array): void;
  /** Makes the transaction visible and returns the position it leads to. Throws as `push` does. */
  finish(): Position;
  abort(): void;
};

type Applied = {
  /** What is here is on the chain that the file is of. */
  proven(): void;
  applied(position: Position, header: LtxHeader): void;
  abandoned(): void;
};

/** One whose bytes go to the log as they come, if it is the next; one without a writer brings what differs, and the log begins anew. */
export function applyLogged(
  applier: Applier,
  log: Log,
  writer: RecordWriter | undefined,
  done: Applied,
): ReplicaApply {
  return {
    push: (chunk) => {
      writer?.write(chunk);
      applier.push(chunk);
    },
    finish: () => {
      const result = applier.prove();
      // Before the log has it: from here on a start proves this database as a replica's.
      if (writer) done.proven();
      // The log first: a crash in between is repaired by rolling forward.
      if (writer) log.commit(writer, result.header, result.position.checksum);
      failpoint('apply:logged');
      applier.publish();
      if (!writer) log.reset(result.position);
      done.proven();
      done.applied(result.position, result.header);
      return result.position;
    },
    abort: () => {
      applier.abort();
      writer?.abort();
      done.abandoned();
    },
  };
}
