import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RedisClient } from '@redis/client';
import { freePorts } from './free-ports.ts';

const newClient = RedisClient.factory();

/** A real Redis on a free port of loopback, which writes nothing to disk unless it is told to. */
export class RedisServer {
  readonly #directory = mkdtempSync(join(tmpdir(), 'skein-redis-'));
  readonly #options: readonly string[];
  #port = 0;
  #process: ChildProcess | undefined;

  private constructor(options: readonly string[]) {
    this.#options = options;
  }

  /** `options` are more of redis-server's own. The caller calls `close`. */
  static async start(...options: string[]): Promise<RedisServer> {
    const server = new RedisServer(options);
    // A port that was free a moment ago may be taken by now.
    for (let attempts = 1; ; attempts += 1) {
      [server.#port = 0] = await freePorts(1);
      try {
        await server.restart();
        return server;
      } catch (error) {
        if (attempts === 5) throw error;
      }
    }
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** Runs one command on a connection of its own. */
  async run(...command: string[]): Promise<unknown> {
    const client = newClient({ url: this.url, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.sendCommand(command);
    } finally {
      client.destroy();
    }
  }

  /** Ends it as kill -9 does; what was not saved before is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Starts it again on the same port, without its data if `emptied`. */
  async restart({ emptied = false } = {}): Promise<void> {
    if (emptied) rmSync(join(this.#directory, 'dump.rdb'), { force: true });
    const listening = ['--bind', '127.0.0.1', '--port', `${this.#port}`];
    const storing = ['--dir', this.#directory, '--save', '', '--appendonly', 'no'];
    const child = spawn('redis-server', [...listening, ...storing, ...this.#options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    // To the end, so that the pipe never fills.
    const lines = createInterface({ input: child.stdout });
    const ready = Promise.withResolvers<void>();
    lines.on('line', (line) => {
      if (line.includes('Ready to accept connections')) ready.resolve();
    });
    child.once('exit', () => ready.reject(new Error(`redis-server ended on port ${this.#port}`)));
    child.once('error', ready.reject);
    await ready.promise;
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
