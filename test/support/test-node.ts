import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { readLines } from './line-reader.ts';
import { waitFor } from './wait-for.ts';

const skein = resolve(import.meta.dirname, '../../bin/skein');
const linesKept = 4_000;
const linesInMessages = 25;
const requestTimeoutMs = 10_000;
const verbTimeoutMs = 40_000;

export type DatabaseState = {
  readonly txid: string;
  readonly checksum: string;
  readonly lagMs: number | null;
  readonly walBytes: number;
  readonly logBytes: number;
  readonly problem?: string;
};

export type NodeState = {
  readonly node: string;
  readonly role: 'primary' | 'replica';
  readonly primary: { readonly node: string; readonly url: string } | null;
  readonly databases: Readonly<Record<string, DatabaseState>>;
  readonly refused: Readonly<Record<string, string>>;
  readonly replicas: readonly { readonly node: string; readonly connected: boolean }[];
  readonly peers: readonly { readonly node: string; readonly connected: boolean }[];
};

export type TestNodeOptions = {
  readonly name: string;
  /** A directory of its own, for its configuration and, unless `databases` is given, its databases. */
  readonly directory: string;
  readonly port: number;
  /** URL of the primary; undefined for a node alone. */
  readonly primary: string | undefined;
  readonly databases?: string;
  readonly toml?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Runs the node through this program, as `setpriv … --`. */
  readonly through?: readonly string[];
};

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** One node as a process of its own, `bin/skein run`, that a test starts, kills and starts again. */
export class TestNode {
  readonly name: string;
  readonly url: string;
  readonly databases: string;
  /** What it has printed, over all its runs. */
  readonly lines: string[] = [];
  readonly #options: TestNodeOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null });

  constructor(options: TestNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.url = `http://127.0.0.1:${options.port}`;
    this.databases = options.databases ?? join(options.directory, 'data');
    mkdirSync(options.directory, { recursive: true });
    writeFileSync(join(options.directory, 'skein.toml'), options.toml ?? '');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the present or last run is over. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** Where a database, or another file of its directory, lies. */
  path(file: string): string {
    return join(this.databases, file);
  }

  /** Starts a run without waiting for anything. */
  launch(environment: Readonly<Record<string, string>> = {}): void {
    const [program, ...args] = [...(this.#options.through ?? []), skein, 'run'];
    const child = spawn(program, args, {
      cwd: this.#options.directory,
      env: { ...this.#environment(), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const { promise, resolve: settle } = Promise.withResolvers<Ended>();
    this.#ended = promise;
    child.once('error', (error) => {
      this.#print(String(error));
      settle({ code: null, signal: null });
    });
    // `close`, not `exit`: all that it printed has been read by then.
    child.once('close', (code, signal) => {
      if (this.#child === child) this.#child = undefined;
      settle({ code, signal });
    });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) readLines(stream, (line) => this.#print(line));
    }
  }

  /** Starts a run and waits until the node answers. Rejects when it ends instead. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    this.launch(environment);
    await waitFor(
      `node ${this.name} to answer`,
      () => {
        if (this.#child === undefined)
          throw new Error(`node ${this.name} ended at its start\n${this.tail()}`);
        return this.tryState();
      },
      { state: () => this.tail() },
    );
  }

  /** As an operator does; rejects when the node does not end in time, or not with exit code 0. */
  async stop(): Promise<void> {
    const ended = await this.#end('SIGTERM');
    if (ended.code !== 0)
      throw new Error(`node ${this.name} stopped with ${JSON.stringify(ended)}\n${this.tail()}`);
  }

  /** As a power switch does. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async state(): Promise<NodeState> {
    const response = await this.fetch('/status');
    if (!response.ok)
      throw new Error(`GET /status of ${this.name}: ${response.status} ${await response.text()}`);
    return (await response.json()) as NodeState;
  }

  /** Undefined while the node does not answer. */
  async tryState(): Promise<NodeState | undefined> {
    return this.state().catch(() => undefined);
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const secret = this.#options.environment?.SKEIN_NODE_SECRET;
    const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
    return fetch(this.url + path, { signal: AbortSignal.timeout(requestTimeoutMs), headers, ...init });
  }

  /** Runs another verb with this node's configuration. Rejects when it does not end in time; not for its exit code. */
  async skein(...argv: readonly string[]): Promise<{ stdout: string; stderr: string; code: number | null }> {
    const child = spawn(skein, argv, {
      cwd: this.#options.directory,
      env: this.#environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: verbTimeoutMs,
      killSignal: 'SIGKILL',
    });
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    if (child.signalCode !== null) throw new Error(`skein ${argv.join(' ')}: ${child.signalCode}\n${stderr}`);
    return { stdout, stderr, code: child.exitCode };
  }

  /** The first line from `from` on that matches, once it is there. */
  async line(pattern: RegExp, from = 0, timeoutMs = 20_000): Promise<string> {
    return waitFor(
      `a line of ${this.name} like ${pattern}`,
      () => this.lines.slice(from).find((line) => pattern.test(line)),
      { timeoutMs, state: () => this.tail() },
    );
  }

  /** The end of what it printed, for the message of a failure. */
  tail(): string {
    return [`--- ${this.name}:`, ...this.lines.slice(-linesInMessages)].join('\n');
  }

  async #end(signal: NodeJS.Signals): Promise<Ended> {
    const child = this.#child;
    if (!child) return this.#ended;
    child.kill(signal);
    const timer = setTimeout(() => {
      this.#print(`did not end by ${signal} in time, killed`);
      child.kill('SIGKILL');
    }, 20_000);
    const ended = await this.#ended;
    clearTimeout(timer);
    return ended;
  }

  #print(line: string): void {
    this.lines.push(line);
    if (this.lines.length > linesKept) this.lines.splice(0, linesKept / 2);
  }

  #environment(): NodeJS.ProcessEnv {
    const { name, port, primary, environment } = this.#options;
    const inherited = Object.entries(process.env).filter(
      ([key]) => !/^(?:SKEIN|FLY|NODE)_/.test(key) || key === 'SKEIN_TEST_RUN',
    );
    return {
      ...Object.fromEntries(inherited),
      SKEIN_APP: 'test',
      SKEIN_NODE_NAME: name,
      SKEIN_NODE_REGION: name,
      SKEIN_NODE_LISTEN: `127.0.0.1:${port}`,
      SKEIN_DATABASE_DIR: this.databases,
      ...(primary === undefined ? {} : { SKEIN_LEASE_PRIMARY: primary }),
      ...environment,
    };
  }
}

/** Waits for the end of a run that a test expects to end by itself. */
export async function endOf(node: TestNode, timeoutMs = 30_000): Promise<Ended> {
  let ended: Ended | undefined;
  void node.ended.then((value) => {
    ended = value;
  });
  return waitFor(`node ${node.name} to end by itself`, () => ended, { timeoutMs, state: () => node.tail() });
}
