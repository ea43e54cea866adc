import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { assert } from '../base/assert.ts';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { Guard } from './guard.ts';
import { LineSplitter } from './line-splitter.ts';
import { killMarkedProcesses } from './marked-processes.ts';
import { openOutputPipes } from './output-pipes.ts';
import { signalGroup, waitForGroupEnd } from './process-group.ts';

/** How long a killed process may take to vanish: longer only while the kernel waits for a device. */
const afterKillMs = 10_000;
/** How long the last output may take: longer only while whoever reads the node's output has stopped reading. */
const lastOutputMs = 1000;

export type ProcessExit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type OutputStream = 'stdout' | 'stderr';

export type RunOptions = {
  readonly name: string;
  /** Given to `/bin/sh -c`, unless `argv` is there. */
  readonly command: string;
  /** The program and its arguments, run without a shell. */
  readonly argv?: readonly string[];
  /** Complete; nothing of the node's own environment is added. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly guard: Guard;
  /** Takes one line. When it returns a promise, the process's pipe rests until that settles. */
  readonly output: (line: string, stream: OutputStream) => void | Promise<void>;
  readonly event: (message: string, fields: Record<string, unknown>) => void;
};

/** One run of one command, in a process group of its own, from its start until nothing of it is left. */
export class ProcessRun {
  /** Of the first process, and so of the group. */
  readonly pid: number;
  /**
   * The exit of the first process. Resolves when the rest of its group, and on Linux all that left the group, is
   * gone too and the output is flushed. Never rejects.
   */
  readonly ended: Promise<ProcessExit>;
  readonly #options: RunOptions;
  readonly #killed = new AbortController();
  #stopping = false;
  /** The group's number may be another's from here on: no more signals. */
  #groupGone = false;

  private constructor(
    options: RunOptions,
    child: ChildProcess,
    pid: number,
    mark: string,
    outputs: Readable[],
  ) {
    this.#options = options;
    this.pid = pid;
    this.ended = this.#follow(child, mark, outputs);
  }

  /**
   * Resolves when the process is spawned, or to undefined when `signal` aborted before. Rejects with
   * COMMAND_NOT_FOUND, or with the system's error when there is no room for a process.
   */
  static async start(options: RunOptions, signal: AbortSignal): Promise<ProcessRun | undefined> {
    await options.guard.start();
    const pipes = await openOutputPipes();
    try {
      if (signal.aborted) return undefined;
      const [program, ...rest] = options.argv ?? ['/bin/sh', '-c', options.command];
      assert(program !== undefined, `process ${options.name} has an empty argv`);
      const mark = options.guard.newMark();
      const child = spawn(program, rest, {
        cwd: options.workingDirectory,
        env: { ...options.environment, SKEIN_GUARD: mark },
        detached: true,
        // No input: a group in the background that reads from the terminal is stopped by SIGTTIN.
        stdio: ['ignore', pipes?.[0].childEnd ?? 'pipe', pipes?.[1].childEnd ?? 'pipe'],
      });
      await once(child, 'spawn');
      const outputs = pipes === undefined ? [child.stdout, child.stderr] : pipes.map((pipe) => pipe.nodeEnd);
      assert(child.pid !== undefined, 'a spawned process has an id');
      options.guard.add(child.pid);
      return new ProcessRun(
        options,
        child,
        child.pid,
        mark,
        outputs.filter((output) => output !== null),
      );
    } catch (error) {
      for (const pipe of pipes ?? []) pipe.nodeEnd.destroy();
      throw startError(options, error);
    } finally {
      for (const pipe of pipes ?? []) closeSync(pipe.childEnd);
    }
  }

  /** Sends the signal to the whole group, and SIGKILL after `timeoutMs` to what is left of it. */
  stop(signal: NodeJS.Signals, timeoutMs: number): Promise<ProcessExit> {
    if (this.#stopping || this.#groupGone) return this.ended;
    this.#stopping = true;
    signalGroup(this.pid, signal);
    // A process that was paused takes the signal only once it runs again.
    signalGroup(this.pid, 'SIGCONT');
    const timer = setTimeout(() => {
      this.#options.event('process did not stop in time and is killed', {
        process: this.#options.name,
        timeoutMs,
      });
      this.killNow();
    }, timeoutMs);
    return this.ended.finally(() => clearTimeout(timer));
  }

  /** SIGKILL to the whole group, before this returns. */
  killNow(): void {
    if (this.#groupGone) return;
    signalGroup(this.pid, 'SIGKILL');
    this.#killed.abort();
  }

  async #follow(child: ChildProcess, mark: string, outputs: Readable[]): Promise<ProcessExit> {
    const streams: readonly OutputStream[] = ['stdout', 'stderr'];
    const reading = Promise.all(streams.map((stream, index) => this.#read(outputs[index], stream)));
    const exit = await exitOf(child, this.#killed.signal);
    // A shell dies of the signal at once while the server that it started still answers its last requests: what
    // was asked to stop has until the time-out, as a group.
    if (this.#stopping) await waitForGroupEnd(this.pid, this.#killed.signal);
    signalGroup(this.pid, 'SIGKILL');
    const gone = await waitForGroupEnd(this.pid, AbortSignal.timeout(afterKillMs));
    if (!gone)
      this.#options.event('killed processes are still there', {
        process: this.#options.name,
        group: this.pid,
      });
    this.#groupGone = true;
    this.#options.guard.remove(this.pid);
    await killMarkedProcesses(`SKEIN_GUARD=${mark}`);
    if (!(await settlesWithin(reading, lastOutputMs))) {
      for (const output of outputs) output.destroy();
      await settlesWithin(reading, lastOutputMs);
    }
    return exit;
  }

  async #read(pipe: Readable | undefined, stream: OutputStream): Promise<void> {
    if (pipe === undefined) return;
    const splitter = new LineSplitter();
    try {
      for await (const chunk of pipe) {
        for (const line of splitter.push(chunk)) {
          const room = this.#options.output(line, stream);
          if (room !== undefined) await room;
        }
      }
    } catch {
      // The pipe was destroyed above: what it still held has no reader.
    }
    for (const line of splitter.end()) void this.#options.output(line, stream);
  }
}

function exitOf(child: ChildProcess, killed: AbortSignal): Promise<ProcessExit> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const giveUp = () => resolve({ code: null, signal: 'SIGKILL' });
    const onKill = () => {
      timer = setTimeout(giveUp, afterKillMs);
    };
    killed.addEventListener('abort', onKill, { once: true });
    child.once('exit', (code, signal) => {
      killed.removeEventListener('abort', onKill);
      clearTimeout(timer);
      resolve({ code, signal });
    });
  });
}

async function settlesWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const settled = new AbortController();
  void work.finally(() => settled.abort());
  await sleep(timeoutMs, settled.signal);
  return settled.signal.aborted;
}

function startError(options: RunOptions, cause: unknown): unknown {
  const code = systemCodeOf(cause);
  if (code !== 'ENOENT' && code !== 'EACCES' && code !== 'ENOTDIR') return cause;
  const start = `Process "${options.name}" cannot start:`;
  const program = options.argv?.[0] ?? '/bin/sh';
  let reason = `there is no program "${program}", or the interpreter that its first line names is missing. Install it, put its directory on PATH, or correct the command.`;
  if (!statSync(options.workingDirectory, { throwIfNoEntry: false })?.isDirectory()) {
    reason = `its working directory ${options.workingDirectory} does not exist. Create it, or start the node elsewhere.`;
  } else if (code === 'EACCES') {
    reason = `"${program}" must not be executed by this user. Give it the permission (chmod +x), or correct the command.`;
  }
  return new SkeinError('COMMAND_NOT_FOUND', `${start} ${reason}`, { cause });
}
