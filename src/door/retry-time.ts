import type { DoorShared } from './door-shared.ts';

/** How long one request is routed anew where it could not be sent: from its beginning, or at the app from when that could not be reached first. */
export class RetryTime {
  readonly #shared: DoorShared;
  readonly #nodeUntilMs: number;
  #appUntilMs: number | undefined;

  constructor(shared: DoorShared) {
    this.#shared = shared;
    this.#nodeUntilMs = shared.nowMs() + shared.limits.retryMs;
  }

  isLeft(place: { readonly isToNode: boolean }): boolean {
    const nowMs = this.#shared.nowMs();
    if (place.isToNode) return nowMs < this.#nodeUntilMs;
    this.#appUntilMs ??= nowMs + this.#shared.limits.appRetryMs;
    return nowMs < this.#appUntilMs;
  }
}
