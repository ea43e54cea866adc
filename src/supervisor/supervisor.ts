import { assert } from '../base/assert.ts';
import { AppProcess, exitCodeOf, type ProcessSpec, type ProcessStatus } from './app-process.ts';
import { Guard } from './guard.ts';
import type { OutputStream } from './process-run.ts';
import { runReleaseCommand } from './release-command.ts';

export type { ProcessSpec, ProcessState, ProcessStatus } from './app-process.ts';

export type SupervisorRole = 'primary' | 'replica' | 'none';

export type SupervisorOptions = {
  readonly processes: readonly ProcessSpec[];
  /** The complete environment of the processes; nothing of the node's own is added to it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly killSignal: NodeJS.Signals;
  readonly killTimeoutMs: number;
  /** Takes whole lines, without their newline. When it returns a promise, the process's pipe rests until it settles. */
  readonly output: (process: string, line: string, stream: OutputStream) => void | Promise<void>;
  /** Takes what happens to processes, for the node's log. */
  readonly event: (message: string, fields: Record<string, unknown>) => void;
  /** The one process is not restarted, and `mainExit` settles with its exit code. */
  readonly exitWithMain?: boolean;
};

/** The name of the release command in front of its output. */
export const releaseName = 'release';
/** The same for what a litefs.yml has run first. */
export const setupName = 'setup';

/** LiteFS knows no limit; a timer of Node.js does. */
const setupTimeoutMs = 7 * 86_400_000;

type FirstCommand = {
  readonly name: string;
  readonly command: string;
  readonly argv?: readonly string[];
  /** What it is, at the beginning of a sentence. */
  readonly title: string;
  readonly variables: Readonly<Record<string, string>>;
};

/** Runs the app's processes as the node's role asks, and leaves none behind. `docs/supervisor.md` is its description. */
export class Supervisor {
  /** Settles only with `exitWithMain`: with the process's exit code, 128 + n when signal n ended it. */
  readonly mainExit: Promise<number>;
  readonly #options: SupervisorOptions;
  readonly #guard: Guard;
  readonly #processes: readonly AppProcess[];
  readonly #stopRequested = new AbortController();
  #killRelease = new AbortController();
  /** Settles when no command that comes first runs any more, or waits to. Never rejects. */
  #first: Promise<void> = Promise.resolve();
  #role: SupervisorRole = 'none';
  #requests = 0;
  #settling: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    assert(!options.exitWithMain || options.processes.length === 1, 'exitWithMain takes exactly one process');
    this.#options = options;
    this.#guard = new Guard(options.event);
    const mainExit = Promise.withResolvers<number>();
    this.mainExit = mainExit.promise;
    this.#processes = options.processes.map(
      (spec) =>
        new AppProcess({
          ...options,
          spec,
          restart: !options.exitWithMain,
          guard: this.#guard,
          // An end that a change of role asked for is not the command's own.
          exited: (exit, asked) => {
            const final = !asked || this.#stopRequested.signal.aborted;
            if (options.exitWithMain && final) mainExit.resolve(exitCodeOf(exit));
          },
        }),
    );
  }

  /**
   * Runs the command to its end, with RELEASE_COMMAND=1. Rejects with RELEASE_COMMAND_FAILED when it fails, is not
   * done after `timeoutMs`, or `signal` aborts, and with LEASE_LOST when kill() comes before its end. Another command that comes
   * first is waited for.
   */
  runRelease(command: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const title = 'The release command';
    return this.#runFirst(
      { name: releaseName, command, title, variables: { RELEASE_COMMAND: '1' } },
      timeoutMs,
      signal,
      this.#killRelease.signal,
    );
  }

  /**
   * As `runRelease`, for a program that comes before the processes on every node, run without a shell and without a time-out. Who
   * leads is nothing to it: kill() leaves it alone.
   */
  runSetup(argv: readonly string[], title: string, signal: AbortSignal): Promise<void> {
    const command = argv.join(' ');
    const first = { name: setupName, command, argv, title, variables: {} };
    return this.#runFirst(first, setupTimeoutMs, signal, new AbortController().signal);
  }

  #runFirst(first: FirstCommand, timeoutMs: number, signal: AbortSignal, kill: AbortSignal): Promise<void> {
    const { environment, workingDirectory, killSignal, killTimeoutMs, output, event } = this.#options;
    const { name, command, argv, title, variables } = first;
    const stop = AbortSignal.any([signal, this.#stopRequested.signal]);
    const before = this.#first;
    const run = settledOrAborted(before, [stop, kill]).then(() =>
      runReleaseCommand(
        {
          name,
          command,
          argv,
          environment: { ...environment, ...variables, FLY_PROCESS_GROUP: name, SKEIN_PROCESS: name },
          workingDirectory,
          guard: this.#guard,
          output: (line, stream) => output(name, line, stream),
          event,
        },
        { title, timeoutMs, killSignal, killTimeoutMs, stop, kill },
      ),
    );
    // One that was aborted while it waited has left the one before it running.
    this.#first = Promise.allSettled([before, run]).then(() => undefined);
    return run;
  }

  /**
   * Starts and stops so that exactly the processes of the role run; `none` stops all. Resolves when the stopped ones
   * are gone and the started ones are spawned. A call while another is under way takes its place: both then resolve
   * when the last role is reached. Rejects with COMMAND_NOT_FOUND when a program is missing; the other processes
   * run then. After stop() it does nothing.
   */
  setRole(role: SupervisorRole): Promise<void> {
    if (this.#stopRequested.signal.aborted) return this.#settling ?? Promise.resolve();
    return this.#settle(role);
  }

  /** Stops everything: kill signal to each group, SIGKILL after the time-out, then what the guard still finds. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * SIGKILL to every group before this returns, or to those of processes that run on the primary only; to the release command in
   * both cases. Nothing that was killed starts again until it is asked for.
   */
  kill(which: 'primary' | 'all'): void {
    this.#killRelease.abort();
    this.#killRelease = new AbortController();
    for (const process of this.#processes) if (which === 'all' || process.on === 'primary') process.killNow();
    // Collects what was killed. A missing program, reported to the setRole() that met it, is of no interest here.
    const isNothingLeft = which === 'all' || this.#role === 'none';
    this.#settle(isNothingLeft ? 'none' : 'replica').catch(() => undefined);
  }

  status(): readonly ProcessStatus[] {
    return this.#processes.map((process) => process.status());
  }

  async #stop(): Promise<void> {
    this.#stopRequested.abort();
    await Promise.all([this.#first, this.#settle('none').catch(() => undefined)]);
    await this.#guard.stop();
  }

  #settle(role: SupervisorRole): Promise<void> {
    this.#role = role;
    this.#requests++;
    this.#settling ??= this.#followRole();
    return this.#settling;
  }

  async #followRole(): Promise<void> {
    try {
      for (;;) {
        // Counted, not compared by role: after killNow() the same role asked for again means a new start.
        const request = this.#requests;
        try {
          await this.#apply(this.#role, request);
        } catch (error) {
          if (this.#requests === request) throw error;
        }
        if (this.#requests === request) return;
      }
    } finally {
      this.#settling = undefined;
    }
  }

  async #apply(role: SupervisorRole, request: number): Promise<void> {
    const wanted = (process: AppProcess) =>
      role === 'primary' || (role === 'replica' && process.on === 'all');
    await Promise.all(this.#processes.filter((process) => !wanted(process)).map((process) => process.stop()));
    // In the order of the configuration; one that cannot start does not keep the others from it.
    let failure: unknown;
    for (const process of this.#processes.filter(wanted)) {
      if (this.#requests !== request) break;
      await process.start().catch((error: unknown) => {
        failure ??= error;
      });
    }
    if (failure !== undefined) throw failure;
  }
}

async function settledOrAborted(work: Promise<void>, signals: readonly AbortSignal[]): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  const either = AbortSignal.any([...signals]);
  const abort = () => aborted.resolve();
  either.addEventListener('abort', abort, { once: true });
  if (either.aborted) abort();
  await Promise.race([work, aborted.promise]);
  either.removeEventListener('abort', abort);
}
