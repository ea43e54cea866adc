/** A broken invariant: a fault in Skein itself, never an input error. The process must not go on. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws `AssertionFailure`; the process handler in `cli/main.ts` stops the node on one. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}
