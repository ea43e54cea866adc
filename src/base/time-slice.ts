import { setImmediate as nextTurn } from 'node:timers/promises';
import { monotonicMs } from './clock.ts';

/** Long work on the event loop, cut into slices of `sliceMs` between which everything else gets its turn. */
export class TimeSlice {
  readonly #sliceMs: number;
  #endsMs: number;

  constructor(sliceMs = 4) {
    this.#sliceMs = sliceMs;
    this.#endsMs = monotonicMs() + sliceMs;
  }

  /** Whether it is time to `await yield()`. */
  get isOver(): boolean {
    return monotonicMs() >= this.#endsMs;
  }

  async yield(): Promise<void> {
    await nextTurn();
    this.#endsMs = monotonicMs() + this.#sliceMs;
  }
}
