import type { KeptBodies } from './kept-body.ts';
import type { Router } from './route.ts';

/** All times in ms. */
export type ConnectionLimits = {
  readonly headBytesMax: number;
  /** From the first byte of a head to its last. */
  readonly headMs: number;
  /** Between requests. */
  readonly idleMs: number;
  /** Without any byte of a body that is to come, or of a response that is to be taken. */
  readonly progressMs: number;
  /** How long a request that no other node took is tried anew. */
  readonly retryMs: number;
  /** The same for an app that cannot be reached. */
  readonly appRetryMs: number;
};

/** What all connections of a door have in common. */
export type DoorShared = {
  readonly router: Router;
  readonly limits: ConnectionLimits;
  readonly keptBodies: KeptBodies;
  /** No new requests. */
  readonly isDraining: boolean;
  /** A coarse clock. */
  nowMs(): number;
};
