import { constants } from 'node:os';
import { Backoff } from '../base/backoff.ts';
import { monotonicMs, wallClockMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { Guard } from './guard.ts';
import { type OutputStream, type ProcessExit, ProcessRun } from './process-run.ts';

const restartFirstMs = 250;
const restartMaxMs = 15_000;
/** A process that was up for so long has recovered: its next restart is quick again. */
const steadyAfterMs = 30_000;

export type ProcessSpec = {
  readonly name: string;
  /** Given to `/bin/sh -c`, unless `argv` is there. */
  readonly command: string;
  /** The program and its arguments, run without a shell. */
  readonly argv?: readonly string[];
  readonly on: 'all' | 'primary';
};

export type ProcessState = 'stopped' | 'starting' | 'running' | 'backing-off' | 'stopping' | 'exited';

export type ProcessStatus = {
  readonly name: string;
  readonly on: 'all' | 'primary';
  readonly state: ProcessState;
  readonly pid: number | null;
  /** How often it was started again after it ended by itself. */
  readonly restarts: number;
  /** Wall-clock time, ms since 1970; null while it does not run. */
  readonly startedAtMs: number | null;
  /** How it ended last, in words; null before. */
  readonly lastExit: string | null;
};

export type AppProcessOptions = {
  readonly spec: ProcessSpec;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly killSignal: NodeJS.Signals;
  readonly killTimeoutMs: number;
  /** False: once it has ended by itself it is never started again. */
  readonly restart: boolean;
  readonly guard: Guard;
  readonly output: (process: string, line: string, stream: OutputStream) => void | Promise<void>;
  readonly event: (message: string, fields: Record<string, unknown>) => void;
  readonly exited: (exit: ProcessExit, asked: boolean) => void;
};

/** One configured process: runs it, and runs it again with a growing delay whenever it ends unasked. */
export class AppProcess {
  readonly #options: AppProcessOptions;
  readonly #backoff = new Backoff(restartFirstMs, restartMaxMs);
  /** There while the process is to run; aborted when it is to end. */
  #wanted: AbortController | undefined;
  #life: Promise<void> | undefined;
  #run: ProcessRun | undefined;
  #state: ProcessState = 'stopped';
  #restarts = 0;
  #startedAtMs: number | null = null;
  #lastExit: string | null = null;

  constructor(options: AppProcessOptions) {
    this.#options = options;
  }

  get on(): 'all' | 'primary' {
    return this.#options.spec.on;
  }

  /**
   * Resolves when the process is spawned, or waits for its next try. Rejects with COMMAND_NOT_FOUND, and then it is
   * stopped. Not to be called while stop() is under way.
   */
  async start(): Promise<void> {
    if (this.#wanted?.signal.aborted) await this.stop();
    if (this.#wanted !== undefined || this.#state === 'exited') return;
    const wanted = new AbortController();
    this.#wanted = wanted;
    this.#state = 'starting';
    try {
      const run = await this.#startRun(wanted.signal);
      this.#life = this.#keepRunning(run, wanted.signal);
    } catch (error) {
      this.#wanted = undefined;
      this.#state = 'stopped';
      throw error;
    }
  }

  /** Kill signal to the group, SIGKILL after the time-out; resolves when nothing of the process is left. */
  async stop(): Promise<void> {
    this.#wanted?.abort();
    if (this.#run !== undefined) {
      this.#state = 'stopping';
      void this.#run.stop(this.#options.killSignal, this.#options.killTimeoutMs);
    }
    await this.#life;
    this.#wanted = undefined;
    this.#life = undefined;
  }

  /** SIGKILL to the group before this returns, and no restart until start() is called. */
  killNow(): void {
    this.#wanted?.abort();
    if (this.#run === undefined) return;
    this.#state = 'stopping';
    this.#run.killNow();
  }

  status(): ProcessStatus {
    return {
      name: this.#options.spec.name,
      on: this.#options.spec.on,
      state: this.#state,
      pid: this.#run?.pid ?? null,
      restarts: this.#restarts,
      startedAtMs: this.#startedAtMs,
      lastExit: this.#lastExit,
    };
  }

  async #keepRunning(first: ProcessRun | undefined, wanted: AbortSignal): Promise<void> {
    for (let run = first; ; run = await this.#startAgain(wanted)) {
      if (run !== undefined) {
        const exit = await this.#runToEnd(run, wanted);
        this.#options.exited(exit, wanted.aborted);
        if (!this.#options.restart && !wanted.aborted) {
          this.#state = 'exited';
          return;
        }
      }
      if (wanted.aborted) break;
      const delayMs = Math.round(this.#backoff.nextMs());
      this.#state = 'backing-off';
      this.#event('process is started again after a pause', { delayMs, lastExit: this.#lastExit });
      await sleep(delayMs, wanted);
      if (wanted.aborted) break;
    }
    this.#state = 'stopped';
  }

  async #runToEnd(run: ProcessRun, wanted: AbortSignal): Promise<ProcessExit> {
    const beganMs = monotonicMs();
    this.#run = run;
    this.#startedAtMs = wallClockMs();
    this.#state = 'running';
    this.#event('process started', { pid: run.pid });
    // killNow() came while the spawn was on its way.
    if (wanted.aborted) run.killNow();
    const exit = await run.ended;
    const uptimeMs = Math.round(monotonicMs() - beganMs);
    if (uptimeMs >= steadyAfterMs) this.#backoff.reset();
    this.#run = undefined;
    this.#startedAtMs = null;
    this.#lastExit = describeExit(exit);
    this.#event('process ended', { pid: run.pid, exit: this.#lastExit, asked: wanted.aborted, uptimeMs });
    return exit;
  }

  async #startAgain(wanted: AbortSignal): Promise<ProcessRun | undefined> {
    this.#state = 'starting';
    this.#restarts++;
    try {
      return await this.#startRun(wanted);
    } catch (error) {
      // Not a program any more, as during a deploy that replaces it.
      this.#lastExit = messageOf(error);
      return undefined;
    }
  }

  /** Rejects with COMMAND_NOT_FOUND only: what else goes wrong (no memory, too many processes) may pass. */
  async #startRun(wanted: AbortSignal): Promise<ProcessRun | undefined> {
    const { spec, environment, workingDirectory, guard, output, event } = this.#options;
    try {
      return await ProcessRun.start(
        {
          name: spec.name,
          command: spec.command,
          argv: spec.argv,
          environment: { ...environment, FLY_PROCESS_GROUP: spec.name, SKEIN_PROCESS: spec.name },
          workingDirectory,
          guard,
          output: (line, stream) => output(spec.name, line, stream),
          event,
        },
        wanted,
      );
    } catch (error) {
      if (error instanceof SkeinError) throw error;
      this.#lastExit = messageOf(error);
      this.#event('process cannot start', { error: messageOf(error) });
      return undefined;
    }
  }

  #event(message: string, fields: Record<string, unknown>): void {
    this.#options.event(message, { process: this.#options.spec.name, ...fields });
  }
}

/** The exit in words, for a status or a log line. */
export function describeExit(exit: ProcessExit): string {
  if (exit.signal !== null) return `signal ${exit.signal}`;
  if (exit.code === 126) return 'exit code 126 (the shell must not execute the command)';
  if (exit.code === 127) return 'exit code 127 (the shell does not find the command)';
  return `exit code ${exit.code}`;
}

/** The exit as a shell counts it: 128 and the signal's number for a process that died of one. */
export function exitCodeOf(exit: ProcessExit): number {
  return exit.signal === null ? (exit.code ?? 1) : 128 + constants.signals[exit.signal];
}
