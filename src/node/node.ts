import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { assert } from '../base/assert.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { DataDirectory } from '../database/data-directory.ts';
import type { DatabaseContext } from '../database/database-parts.ts';
import { type Leadership, staticLeadership } from '../lease/static-lease.ts';
import { Checkpointer } from '../sqlite/checkpointer.ts';
import { requireSafeSqlite } from '../sqlite/sqlite-version.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { type ApiRoute, ApiServer, sendJson } from './api-server.ts';
import { appEnvironment } from './app-environment.ts';
import { EventFeed } from './event-feed.ts';
import { ExportRoute } from './export-route.ts';
import { ImportRoute } from './import-route.ts';
import { MarkerFiles } from './marker-files.ts';
import type { NodeLog } from './node-log.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { PrimaryReplication } from './primary-replication.ts';
import { ReplicaReplication } from './replica-replication.ts';
import type { Replication, ReplicationHandlers } from './replication.ts';
import { statusOf } from './status-route.ts';
import { WaitRoute } from './wait-route.ts';

/** About 16 MiB of WAL at 4 KiB a page: SQLite's own default is 1,000 frames, whose checkpoints cost twice as much. */
const recycleFrames = Number(process.env.SKEIN_TEST_RECYCLE_FRAMES ?? 4_000);

export type NodeOutput = {
  readonly log: NodeLog;
  /** A line that one of the app's processes printed. */
  process(name: string, line: string): void | Promise<void>;
};

/** One running `skein run`: its databases, its API, the app's processes; started and stopped in order. */
export class Node {
  readonly #config: Config;
  readonly #output: NodeOutput;
  readonly #leadership: Leadership;
  readonly #supervisor: Supervisor;
  readonly #events = new EventFeed();
  readonly #api: ApiServer;
  readonly #checkpointer = new Checkpointer();
  readonly #stopping = new AbortController();
  readonly #failure = Promise.withResolvers<never>();
  #directory: DataDirectory | undefined;
  #markers: MarkerFiles | undefined;
  #replication: PrimaryReplication | ReplicaReplication | undefined;
  #started = false;

  constructor(config: Config, output: NodeOutput) {
    this.#config = config;
    this.#output = output;
    this.#leadership = staticLeadership(config);
    this.#failure.promise.catch(() => undefined);
    this.#supervisor = new Supervisor({
      processes: config.processes,
      environment: appEnvironment(config, process.env),
      workingDirectory: config.sources.length > 0 ? dirname(config.sources[0]) : process.cwd(),
      killSignal: config.killSignal,
      killTimeoutMs: config.killTimeoutMs,
      output: (name, line) => output.process(name, line),
      event: output.log.notice,
      exitWithMain: config.processes[0]?.argv !== undefined,
    });
    const { listen, secret } = config.node;
    this.#api = new ApiServer({
      listen,
      secret,
      routes: this.#routes(),
      upgrade: (request, socket, head) => {
        if (this.#replication) this.#replication.accept(request, socket, head);
        else socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
      },
      failed: output.log.warn,
    });
  }

  /** Settles with the exit code of `run -- COMMAND` when that ends. */
  get mainExit(): Promise<number> {
    return this.#supervisor.mainExit;
  }

  /** Rejects when the node cannot go on and a person has to change something. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /** Resolves once the app's processes run. Throws a `SkeinError`; call `stop` then too. */
  async start(): Promise<void> {
    const { config, log } = { config: this.#config, log: this.#output.log };
    requireSafeSqlite();
    // The port first: a second start of the same node fails here, before it has touched anything.
    await this.#api.listen();
    this.#directory = new DataDirectory(config.database.dir);
    this.#markers = new MarkerFiles(config.database.dir, this.#directory.hidden);
    log.notice('the node has started', {
      node: config.node.name,
      region: config.node.region,
      role: this.#leadership.isPrimary ? 'primary' : 'replica',
      api: config.node.advertise,
      directory: config.database.dir,
    });
    if (config.sections.length > 0)
      log.notice('accepted without effect so far', { sections: config.sections.join(', ') });
    if (this.#leadership.isPrimary) await this.#lead(this.#directory);
    else await this.#follow(this.#directory);
    this.#started = true;
  }

  /** Stops everything, in the reverse order. Never rejects. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const steps: (() => Promise<void> | void)[] = [
      () => this.#supervisor.stop(),
      // Before the databases: an export reads one of them for as long as it takes.
      () => this.#api.stopAnswering(),
      async () => {
        if (!this.#replication) return;
        await this.#replication.stop();
        this.#directory?.markStopped();
      },
      () => this.#checkpointer.stop(),
      () => this.#events.close(),
      () => this.#api.close(),
      () => this.#markers?.delete(),
      () => this.#directory?.close(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.#output.log.warn('a part of the node did not stop in order', { reason: messageOf(error) });
      }
    }
  }

  async #lead(directory: DataDirectory): Promise<void> {
    const replication = new PrimaryReplication(
      this.#context(directory),
      directory,
      this.#identity,
      this.#handlers(),
    );
    this.#replication = replication;
    await replication.start();
    directory.markStarted();
    this.#events.leadershipChanged({ isPrimary: true });
    const { releaseCommand, releaseCommandTimeoutMs } = this.#config;
    if (releaseCommand !== undefined) {
      await this.#supervisor.runRelease(releaseCommand, releaseCommandTimeoutMs, this.#stopping.signal);
      await replication.rescan();
    }
    replication.setReady();
    await this.#supervisor.setRole('primary');
  }

  async #follow(directory: DataDirectory): Promise<void> {
    const { primaryUrl } = this.#leadership;
    assert(primaryUrl, 'a replica knows its primary');
    const { candidate, secret } = this.#config.node;
    const identity = { ...this.#identity, candidate };
    const address = { url: primaryUrl, secret };
    const replication = new ReplicaReplication(
      this.#context(directory),
      directory,
      identity,
      address,
      this.#handlers(),
    );
    this.#replication = replication;
    await replication.start();
    directory.markStarted();
    const aborted = new Promise<void>((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([replication.synced, this.failure, aborted]);
    if (this.#stopping.signal.aborted) return;
    await this.#supervisor.setRole('replica');
  }

  get #identity(): { app: string; node: string; region: string; epoch: number } {
    const { app, node } = this.#config;
    return { app, node: node.name, region: node.region, epoch: this.#leadership.epoch };
  }

  #context(directory: DataDirectory): DatabaseContext {
    return {
      directory: directory.path,
      hiddenDirectory: directory.hidden,
      logLimits: this.#config.log,
      checkpointer: this.#checkpointer,
      rollForward: directory.machineWentDown,
      nodeId: randomBytes(8).readBigUInt64BE(),
      recycleFrames,
      notice: this.#output.log.notice,
      warn: this.#output.log.warn,
    };
  }

  #handlers(): ReplicationHandlers {
    return {
      transaction: (database, header, checksum) => this.#events.transaction(database, header, checksum),
      primaryChanged: (primary) => {
        this.#markers?.setPrimary(primary?.node);
        this.#events.leadershipChanged({ isPrimary: false, ...(primary ? { hostname: primary.node } : {}) });
        if (primary) this.#output.log.notice('connected to the primary', { primary: primary.node });
        else if (!this.#stopping.signal.aborted) this.#output.log.warn('the link to the primary ended');
      },
      lagChanged: (lagMs) => this.#markers?.setLag(lagMs),
      refused: (error) => {
        if (this.#started) this.#output.log.warn(error.message);
        else this.#failure.reject(error);
      },
    };
  }

  #routes(): ReadonlyMap<string, ApiRoute> {
    const replication = () => this.#ready(this.#replication);
    const directory = () => this.#ready(this.#directory);
    let metrics: NodeMetrics | undefined;
    const wait = new WaitRoute(replication);
    const exporting = new ExportRoute(replication, () => `${directory().hidden}/tmp`);
    const importing = new ImportRoute(replication, directory);
    return new Map<string, ApiRoute>([
      [
        'GET /status',
        ({ response }) =>
          sendJson(
            response,
            200,
            statusOf(this.#config, replication(), this.#leadership.epoch, this.#supervisor.status()),
          ),
      ],
      ['GET /health', ({ response }) => this.#answerHealth(replication(), response)],
      [
        'GET /events',
        ({ request, response }) => {
          if (!this.#events.add(request, response))
            throw new SkeinError('DATABASE_BUSY', 'Too many listeners on this node.');
        },
      ],
      [
        'GET /metrics',
        async ({ response }) => {
          metrics ??= await this.#createMetrics(replication);
          const text = await metrics.registry.metrics();
          response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text);
        },
      ],
      ['POST /wait', (call) => wait.answer(call)],
      ['GET /export', (call) => exporting.answer(call)],
      ['POST /import', (call) => importing.answer(call)],
    ]);
  }

  /** Loaded when it is first asked for: a tenth of the node's memory. */
  async #createMetrics(replication: () => Replication): Promise<NodeMetrics> {
    const { NodeMetrics } = await import('./node-metrics.ts');
    const { app, node } = this.#config;
    return new NodeMetrics(replication, { app, node: node.name, region: node.region });
  }

  #answerHealth(replication: Replication, response: Parameters<ApiRoute>[0]['response']): void {
    const problems = Object.fromEntries(replication.problems());
    const connected = replication.role === 'primary' || replication.primary() !== undefined;
    const healthy = this.#started && connected && Object.keys(problems).length === 0;
    sendJson(response, healthy ? 200 : 503, { healthy, started: this.#started, connected, problems });
  }

  #ready<T>(part: T | undefined): T {
    if (part !== undefined) return part;
    throw new SkeinError('DATABASE_BUSY', 'The node is still starting. Try again in a moment.');
  }
}
