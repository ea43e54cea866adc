/** Heartbeats that are looked back over: a clock that was set is believed within half a minute. */
const samplesMax = 30;

/** How far another node's wall clock is ahead of ours, ms, from the times that its heartbeats carry. */
export class ClockSkew {
  readonly #samples: number[] = [];

  /** Zero before the first heartbeat. The delay of a message only takes from its sample, so the largest is the best. */
  get ms(): number {
    return this.#samples.length === 0 ? 0 : Math.max(...this.#samples);
  }

  /** `ms` is the time that a heartbeat carried, minus our own when it came. */
  add(ms: number): void {
    this.#samples.push(ms);
    if (this.#samples.length > samplesMax) this.#samples.shift();
  }
}
