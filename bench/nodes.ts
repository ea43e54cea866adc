import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { sleep } from '../src/base/sleep.ts';
import { sharedClockMs } from './shared-clock.ts';

const program = join(import.meta.dirname, '..', 'bin', 'skein');
const startTimeoutMs = 60_000;
const stopTimeoutMs = 15_000;
const answerPollMs = 5;

/** Whatever ends this program, no node stays behind. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

type NodePlace = { readonly name: string; readonly directory: string; readonly port: number };

/** `SKEIN_LEASE_…`, the same for all nodes of a cluster. */
export type LeaseVariables = Readonly<Record<`SKEIN_LEASE_${string}`, string>>;

/** What GET /status answers, as far as measures look at it. */
export type NodeStatus = {
  readonly role: 'primary' | 'replica';
  readonly databases: Readonly<Record<string, { readonly txid: string; readonly checksum: string }>>;
  readonly replicas: readonly { readonly node: string; readonly connected: boolean }[];
};

/** One `skein run` without processes of an app. Its database directory may be there before it starts. */
export class BenchNode {
  readonly name: string;
  readonly url: string;
  readonly dataDirectory: string;
  readonly #directory: string;
  readonly #listen: string;
  readonly #lease: LeaseVariables;
  readonly #more: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  /** Without a lease it is the primary, for good. `more` is for its environment. */
  constructor(
    { name, directory, port }: NodePlace,
    lease?: LeaseVariables,
    more: Readonly<Record<string, string>> = {},
  ) {
    this.#more = more;
    this.name = name;
    this.#listen = `127.0.0.1:${port}`;
    this.url = `http://${this.#listen}`;
    this.#lease = lease ?? staticLease(this.url);
    this.#directory = join(directory, name);
    this.dataDirectory = join(this.#directory, 'data');
    mkdirSync(this.dataDirectory, { recursive: true });
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`node ${this.name} does not run`);
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  databasePath(name: string): string {
    return join(this.dataDirectory, name);
  }

  /** Starts the process. Resolves with the shared clock when its API answered first, which is before any sync. */
  async start(): Promise<number> {
    const log = openSync(join(this.#directory, 'node.log'), 'a');
    const child = spawn(program, ['run'], {
      cwd: this.#directory,
      env: this.#environment(),
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#child = child;
    const deadline = sharedClockMs() + startTimeoutMs;
    while (sharedClockMs() < deadline && child.exitCode === null) {
      const answer = await fetch(`${this.url}/health`).catch(() => undefined);
      if (answer) return sharedClockMs();
      await sleep(answerPollMs);
    }
    throw new Error(`node ${this.name} did not start; its log ends:\n${this.lastLines()}`);
  }

  /** Waits until the node says that it is healthy: open, connected and, on a replica, caught up once. */
  async healthy(): Promise<void> {
    const deadline = sharedClockMs() + startTimeoutMs;
    while (sharedClockMs() < deadline && this.isRunning) {
      const answer = await fetch(`${this.url}/health`).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(answerPollMs);
    }
    throw new Error(`node ${this.name} is not healthy; its log ends:\n${this.lastLines()}`);
  }

  /** On the primary: resolves when so many other nodes, or a standby, hold all that the file holds now. */
  async heldBy(holders: number | 'replica', database: string, timeoutMs = 60_000): Promise<void> {
    const { isDone, text } = await this.post('/wait', { database, durability: holders, timeoutMs });
    if (!isDone) throw new Error(`${database} was not held in time, by ${holders}: ${text}`);
  }

  /** Rejects when the node does not answer. */
  async post(path: string, body: object): Promise<{ isDone: boolean; text: string }> {
    const answer = await fetch(`${this.url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    return { isDone: answer.ok, text: await answer.text() };
  }

  /** Undefined when the node does not answer, or not yet. */
  async status(): Promise<NodeStatus | undefined> {
    try {
      const answer = await fetch(`${this.url}/status`);
      return answer.ok ? ((await answer.json()) as NodeStatus) : undefined;
    } catch {
      return undefined;
    }
  }

  /** SIGKILL. Returns when it was sent, by the shared clock in ms. */
  async kill(): Promise<number> {
    const child = this.#child;
    if (!child || !this.isRunning) throw new Error(`node ${this.name} does not run`);
    const ended = once(child, 'exit');
    const killedMs = sharedClockMs();
    child.kill('SIGKILL');
    await ended;
    return killedMs;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    const killing = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(killing);
  }

  #environment(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([key]) => !/^(SKEIN|FLY|LITEFS)_/.test(key));
    return {
      ...Object.fromEntries(inherited),
      SKEIN_APP: 'bench',
      SKEIN_DATABASE_DIR: this.dataDirectory,
      ...this.#lease,
      SKEIN_NODE_NAME: this.name,
      SKEIN_NODE_LISTEN: this.#listen,
      ...this.#more,
    };
  }

  /** The end of its log. */
  lastLines(): string {
    return readFileSync(join(this.#directory, 'node.log'), 'utf8').split('\n').slice(-12).join('\n');
  }
}

/** A primary and its replicas under one directory. */
export class BenchCluster {
  readonly primary: BenchNode;
  readonly replicas: readonly BenchNode[];
  readonly #directory: string;

  private constructor(directory: string, primary: BenchNode, replicas: readonly BenchNode[]) {
    this.#directory = directory;
    this.primary = primary;
    this.replicas = replicas;
  }

  /** Makes the directories; starts nothing. */
  static async plan(directory: string, replicaCount: number): Promise<BenchCluster> {
    rmSync(directory, { recursive: true, force: true });
    const ports = await freePorts(replicaCount + 1);
    const primary = new BenchNode({ name: 'primary', directory, port: ports[0] });
    const replicas = ports
      .slice(1)
      .map(
        (port, index) =>
          new BenchNode({ name: `replica-${index + 1}`, directory, port }, staticLease(primary.url)),
      );
    return new BenchCluster(directory, primary, replicas);
  }

  /** The primary first, then all replicas; resolves when all are healthy. */
  async start(): Promise<void> {
    await this.primary.start();
    await this.primary.healthy();
    await Promise.all(
      this.replicas.map(async (replica) => {
        await replica.start();
        await replica.healthy();
      }),
    );
  }

  /** Stops all nodes and deletes their files. */
  async discard(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.primary.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export function staticLease(primaryUrl: string): LeaseVariables {
  return { SKEIN_LEASE_TYPE: 'static', SKEIN_LEASE_PRIMARY: primaryUrl };
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    ports.push(address.port);
  }
  for (const server of servers) server.close();
  return ports;
}
