import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '../../src/base/sleep.ts';
import type { NodePlan } from './plan.ts';
import { processTree, signalAll } from './process-tree.ts';

export interface NodeCommand {
  program: string;
  parameters: string[];
  directory: string;
  environment: NodeJS.ProcessEnv;
}

const stopTimeoutMs = 15_000;
const killTimeoutMs = 5000;

/** One node as a process of its own, its output in a file. It can be started again after it has ended. */
export class NodeProcess {
  readonly plan: NodePlan;
  readonly #command: NodeCommand;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** How it ended, in words; undefined while it runs and before it was started. */
  exit: string | undefined;
  /** Whether `kill` ended it: then nobody has to be told that it ended. */
  wasKilled = false;
  #isPaused = false;

  constructor(plan: NodePlan, command: NodeCommand) {
    this.plan = plan;
    this.#command = command;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.exit === undefined;
  }

  get isPaused(): boolean {
    return this.#isPaused && this.isRunning;
  }

  /** Starts it, unless it runs. */
  start(): void {
    if (this.isRunning) return;
    mkdirSync(this.plan.dataDirectory, { recursive: true });
    mkdirSync(dirname(this.plan.logFile), { recursive: true });
    // What the node said before it was killed stays.
    if (!this.#child) closeSync(openSync(this.plan.logFile, 'w'));
    // Appending, so that the file may be cut short while the node writes to it.
    const log = openSync(this.plan.logFile, 'a');
    const { program, parameters, directory, environment } = this.#command;
    // Its own session: Ctrl-C in the terminal reaches only us, and we stop the nodes in order.
    const child = spawn(program, parameters, {
      cwd: directory,
      env: environment,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    this.exit = undefined;
    this.wasKilled = false;
    this.#isPaused = false;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => {
        this.exit = `could not start ${program}: ${error.message}`;
        resolve();
      });
      child.once('exit', (code, signal) => {
        this.exit = signal ? `ended by ${signal}` : `ended with exit code ${code}`;
        resolve();
      });
    });
  }

  /** Sends a signal to the node alone; its app is the node's own affair. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child?.kill(signal);
  }

  /** SIGKILL to the node alone: what it leaves behind is its own guard's affair. */
  kill(): void {
    if (!this.isRunning) return;
    this.wasKilled = true;
    const left = this.#isPaused ? this.#tree() : [];
    this.signal('SIGKILL');
    // A guard that is stopped ends nothing.
    signalAll(left, 'SIGCONT');
  }

  /** SIGSTOP to the node and to everything that it started, as if the machine were suspended. */
  pause(): void {
    if (!this.isRunning || this.#isPaused) return;
    this.#isPaused = true;
    // The node first: it starts nothing more then.
    this.signal('SIGSTOP');
    signalAll(this.#tree(), 'SIGSTOP');
  }

  /** SIGCONT to all that `pause` stopped. */
  resume(): void {
    if (!this.isPaused) return;
    this.#isPaused = false;
    signalAll(this.#tree(), 'SIGCONT');
  }

  /** Asks the node to stop, and kills it when it does not within 15 s. True if it stopped by itself. */
  async stop(hurry: AbortSignal): Promise<boolean> {
    if (!this.isRunning) return true;
    this.resume();
    this.signal('SIGTERM');
    if (await this.#endsWithin(stopTimeoutMs, hurry)) return true;
    this.signal('SIGKILL');
    await this.#endsWithin(killTimeoutMs);
    return false;
  }

  #tree(): number[] {
    const { pid } = this;
    return pid === undefined ? [] : processTree(pid);
  }

  async #endsWithin(timeoutMs: number, hurry?: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const waited = sleep(timeoutMs, hurry ? AbortSignal.any([hurry, over.signal]) : over.signal);
    await Promise.race([this.#ended, waited]);
    over.abort();
    return !this.isRunning;
  }
}
