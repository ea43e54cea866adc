import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './free-ports.ts';
import { waitFor } from './wait-for.ts';

/** A real etcd of one member on free loopback ports. Whoever started it calls `remove`. */
export class EtcdServer {
  readonly url: string;
  readonly #peerUrl: string;
  #directory = '';
  #child: ChildProcess | undefined;
  #complaints = '';

  private constructor(clientPort: number, peerPort: number) {
    this.url = `http://127.0.0.1:${clientPort}`;
    this.#peerUrl = `http://127.0.0.1:${peerPort}`;
  }

  static async started(): Promise<EtcdServer> {
    const [clientPort, peerPort] = (await freePorts(2)) as [number, number];
    const server = new EtcdServer(clientPort, peerPort);
    await server.start();
    return server;
  }

  /** Starts it on the ports that it had, with what it kept or with nothing. */
  async start({ emptied = false } = {}): Promise<void> {
    if (emptied) this.#removeDirectory();
    if (this.#directory === '') this.#directory = mkdtempSync(join(tmpdir(), 'skein-test-etcd-'));
    const args = [
      ['--data-dir', this.#directory],
      ['--listen-client-urls', this.url],
      ['--advertise-client-urls', this.url],
      ['--listen-peer-urls', this.#peerUrl],
      ['--initial-advertise-peer-urls', this.#peerUrl],
      ['--initial-cluster', `default=${this.#peerUrl}`],
      // An only member waits for an election at every start: 1 s with the defaults.
      ['--heartbeat-interval', '20'],
      ['--election-timeout', '200'],
      ['--logger', 'zap'],
      ['--log-level', 'error'],
    ];
    const child = spawn('etcd', args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-4_000);
    });
    this.#child = child;
    await waitFor('etcd to be healthy', () => this.#isHealthy(), { state: () => this.#complaints });
  }

  /** Ends it at once, as a crash would; what it kept stays for the next start. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Resolves when none of its threads runs any more: the signal reaches them one after the other. */
  async freeze(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGSTOP');
    const tasks = `/proc/${child.pid}/task`;
    const hasStopped = (task: string) => /\) T /.test(readFileSync(join(tasks, task, 'stat'), 'utf8'));
    await waitFor('etcd to stand still', () => readdirSync(tasks).every(hasStopped));
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async remove(): Promise<void> {
    await this.stop();
    this.#removeDirectory();
  }

  async #isHealthy(): Promise<boolean> {
    if (this.#child?.exitCode !== null) throw new Error(`etcd ended at once\n${this.#complaints}`);
    try {
      const answer = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(1_000) });
      return answer.ok && JSON.stringify(await answer.json()).includes('true');
    } catch {
      return false;
    }
  }

  #removeDirectory(): void {
    if (this.#directory !== '') rmSync(this.#directory, { recursive: true, force: true });
    this.#directory = '';
  }
}
