import type { ErrorParts } from '../client/bus-frames.ts';

/** A call of a function that is to run on the primary, on its way. */
export type PlacedCall = {
  readonly name: string;
  /** JSON. */
  readonly args: string;
  readonly idempotent: boolean;
  /** Made by a function that runs on the primary now: it does not wait for a handoff that waits for it. */
  readonly nested: boolean;
  readonly durability: 'default' | 'local' | 'replica';
  /** On the monotonic clock. */
  readonly deadlineMs: number;
};

/** How it ended. */
export type CallOutcome =
  /** It ran: with a result, or with what it threw. `positions` are those, by database, that hold what it wrote. */
  | {
      readonly kind: 'done';
      readonly text?: string | undefined;
      readonly error?: ErrorParts | undefined;
      readonly durable: boolean;
      readonly positions: Readonly<Record<string, string>>;
    }
  /** It did not run, and may later or elsewhere. */
  | { readonly kind: 'again' }
  /** It did not run, and is not to be tried again. */
  | { readonly kind: 'refused'; readonly error: ErrorParts }
  /** Nobody knows whether it ran, or whether what it wrote stays. */
  | { readonly kind: 'unknown' };

export function refused(code: string, message: string): CallOutcome {
  return { kind: 'refused', error: { name: 'SkeinError', code, message } };
}
