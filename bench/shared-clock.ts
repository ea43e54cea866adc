/** The machine's monotonic clock in ms: the same one in every process, unlike `performance.now()`. */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the whole thread. The kernel adds about 0.05 ms of its own. */
export function pauseMs(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
