import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/**
 * A measuring program as a process of its own, so that it neither waits for this one nor holds it up. It gets its
 * input as an argument, prints one line when it begins and its result, as JSON, when it is done.
 */
export class ChildTask<Result> {
  /** Resolves when it begins to measure; rejects when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended; rejects when it failed. */
  readonly result: Promise<Result>;
  readonly #child: ChildProcess;

  /** `script` is a file beside this one. */
  constructor(script: string, input: object, environment: NodeJS.ProcessEnv = process.env) {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, script), JSON.stringify(input)],
      { stdio: ['ignore', 'pipe', 'inherit'], env: environment },
    );
    this.#child = child;
    const kill = () => child.kill('SIGKILL');
    process.on('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    const lines: string[] = [];
    const ready = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      ready.resolve();
    });
    this.ready = ready.promise;
    this.result = once(child, 'close').then(([code, signal]) => {
      const failure = new Error(`${script} ended with ${signal ?? `exit code ${code}`}`);
      ready.reject(failure);
      if (code !== 0 || lines.length < 2) throw failure;
      return JSON.parse(lines[1]) as Result;
    });
    // Whoever waits for one of the two learns of a failure; the other must not count as forgotten.
    this.ready.catch(() => undefined);
    this.result.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Asks it to end, if it is one that goes on until then, and resolves with its result. */
  finish(): Promise<Result> {
    this.#child.kill('SIGTERM');
    return this.result;
  }

  /** Ends it early; its result rejects then. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Inside the process: what it was given. */
export function taskInput<Input>(): Input {
  return JSON.parse(process.argv[2]) as Input;
}

export function reportReady(): void {
  process.stdout.write('ready\n');
}

export function reportResult<Result>(result: Result): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
