import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '../../src/base/sleep.ts';
import type { NodePlan } from './plan.ts';

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

  start(): void {
    mkdirSync(this.plan.dataDirectory, { recursive: true });
    mkdirSync(dirname(this.plan.logFile), { recursive: true });
    closeSync(openSync(this.plan.logFile, 'w'));
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

  /** Asks the node to stop, and kills it when it does not within 15 s. True if it stopped by itself. */
  async stop(hurry: AbortSignal): Promise<boolean> {
    if (!this.isRunning) return true;
    this.signal('SIGTERM');
    if (await this.#endsWithin(stopTimeoutMs, hurry)) return true;
    this.signal('SIGKILL');
    await this.#endsWithin(killTimeoutMs);
    return false;
  }

  async #endsWithin(timeoutMs: number, hurry?: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const waited = sleep(timeoutMs, hurry ? AbortSignal.any([hurry, over.signal]) : over.signal);
    await Promise.race([this.#ended, waited]);
    over.abort();
    return !this.isRunning;
  }
}
