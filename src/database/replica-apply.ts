import type { Position } from '../ltx/position.ts';

/** One LTX file on its way into a replica's database. */
export type ReplicaApply = {
  /** The chunk stays the caller's. Throws `LTX_INVALID`, `POSITION_MISMATCH`, or the system's error; `abort` then. */
  push(chunk: Uint8Array): void;
  /** Makes the transaction visible and returns the position it leads to. Throws as `push` does. */
  finish(): Position;
  abort(): void;
};
