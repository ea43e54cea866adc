import { AsyncLocalStorage } from 'node:async_hooks';

/** What the guard of a database tells the request in which it was used. */
export type RequestScope = {
  /** A statement wanted to write, and was refused since this node follows another. */
  refused(): void;
  /** A statement that may have written was run. */
  wrote(): void;
};

const storage = new AsyncLocalStorage<RequestScope>();
let isNeeded = false;

/** Without a guard in the process nobody asks, and requests need not be told apart. */
export function needRequestScope(): void {
  isNeeded = true;
}

/** Runs the rest of a request so that `requestScope` finds its scope, also after an await. */
export function inRequestScope<Result>(scope: RequestScope, run: () => Result): Result {
  return isNeeded ? storage.run(scope, run) : run();
}

/** The request in which this code runs; undefined outside of one. */
export function requestScope(): RequestScope | undefined {
  return isNeeded ? storage.getStore() : undefined;
}
