import { AsyncLocalStorage } from 'node:async_hooks';

/** What the guard of a database tells the request in which it was used. */
export type RequestScope = {
  /**
   * A statement wanted to write, and was refused since this node follows another. True where it is certain that the
   * primary answers in place of the app, if the app fails for it.
   */
  refused(): boolean;
  /** A statement of another request, or of none, was refused. This one may wait for what that one was doing. */
  refusedBeside(): void;
  /** A statement that may have written was run. */
  wrote(): void;
  readonly isOver: boolean;
};

const storage = new AsyncLocalStorage<RequestScope>();
let isNeeded = false;
/** Those that are over are taken out when it has grown to twice what was left the last time. */
let underWay: RequestScope[] = [];
const prunedFrom = 64;
let pruneAt = prunedFrom;

/** Without a guard in the process nobody asks, and requests need not be told apart. */
export function needRequestScope(): void {
  isNeeded = true;
}

/** Runs the rest of a request so that `requestScope` finds its scope, also after an await. */
export function inRequestScope<Result>(scope: RequestScope, run: () => Result): Result {
  if (!isNeeded) return run();
  underWay.push(scope);
  if (underWay.length >= pruneAt) {
    underWay = underWay.filter(({ isOver }) => !isOver);
    pruneAt = Math.max(prunedFrom, underWay.length * 2);
  }
  return storage.run(scope, run);
}

/**
 * A statement was refused: tells the request in which it was, and those that may have been waiting for the same. True where it is
 * certain that the primary answers that request, if the app fails for it.
 */
export function tellRefused(): boolean {
  const own = storage.getStore();
  const isReplayed = own?.refused() ?? false;
  for (const scope of underWay) if (scope !== own && !scope.isOver) scope.refusedBeside();
  return isReplayed;
}

/** The request in which this code runs; undefined outside of one. */
export function requestScope(): RequestScope | undefined {
  return isNeeded ? storage.getStore() : undefined;
}
