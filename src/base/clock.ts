import { uptime } from 'node:os';

/** The node's own clock. Tests shift it by `SKEIN_TEST_CLOCK_OFFSET_MS`. */
const offsetMs = Number(process.env.SKEIN_TEST_CLOCK_OFFSET_MS ?? 0);

/** Wall-clock time, ms since 1970. It may step: compare it only with what other nodes said. */
export function wallClockMs(): number {
  return Date.now() + offsetMs;
}

/** Time for intervals and deadlines, ms since the process began. It never steps back. */
export function monotonicMs(): number {
  return performance.now();
}

/** How far `bootClockMs` may lag behind the time that it tells. */
export const bootClockStepMs = 10;

/**
 * Time since the machine started, ms, the same for all its processes. It never steps back, and unlike `monotonicMs` it goes
 * on while the machine is suspended (Linux: CLOCK_BOOTTIME). It moves in steps of `bootClockStepMs`, always late.
 */
export function bootClockMs(): number {
  return Math.round(uptime() * 1000);
}
