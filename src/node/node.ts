import { randomBytes } from 'node:crypto';
import { messageOf, SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { DataDirectory } from '../database/data-directory.ts';
import { chainBaseOf, type DatabaseContext } from '../database/database-parts.ts';
import { Leadership } from '../lease/leadership.ts';
import { LineageFile } from '../lease/lineage-file.ts';
import { openLease } from '../lease/open-lease.ts';
import { Checkpointer } from '../sqlite/checkpointer.ts';
import { requireSafeSqlite } from '../sqlite/sqlite-version.ts';
import { streamPath } from '../stream/protocol.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { type ApiRoute, ApiServer, type ApiUpgrade, sendJson } from './api-server.ts';
import { appEnvironment, workingDirectoryOf } from './app-environment.ts';
import { EventFeed } from './event-feed.ts';
import { ExportRoute } from './export-route.ts';
import { ImportRoute } from './import-route.ts';
import { LeadershipRoutes } from './leadership-routes.ts';
import { LiteFsApi } from './litefs-api.ts';
import { MarkerFiles } from './marker-files.ts';
import { NewDatabases } from './new-databases.ts';
import type { NodeLog } from './node-log.ts';
import type { NodeMetrics } from './node-metrics.ts';
import type { PrimaryReplication } from './primary-replication.ts';
import { Promotion } from './promotion.ts';
import type { ReplicaReplication } from './replica-replication.ts';
import { Roles, type RolesParts } from './roles.ts';
import { Startup } from './startup.ts';
import { healthOf, statusOf } from './status-route.ts';
import { WaitRoute } from './wait-route.ts';
import { WaysIn } from './ways-in.ts';

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
  readonly #supervisor: Supervisor;
  readonly #promotion: Promotion;
  readonly #startup: Startup;
  readonly #litefs: LiteFsApi;
  readonly #leading: LeadershipRoutes;
  readonly #events = new EventFeed();
  readonly #api: ApiServer;
  readonly #waysIn: WaysIn;
  readonly #checkpointer = new Checkpointer();
  readonly #stopping = new AbortController();
  readonly #failure = Promise.withResolvers<never>();
  #directory: DataDirectory | undefined;
  #markers: MarkerFiles | undefined;
  #roles: Roles | undefined;
  #leadership: Leadership | undefined;
  #started = false;
  /** When this node led last, it handed over all that it had. */
  #hasHandedOver = false;

  constructor(config: Config, output: NodeOutput) {
    this.#config = config;
    this.#output = output;
    this.#failure.promise.catch(() => undefined);
    // The app's processes get this instead of the secret.
    const appToken = randomBytes(32).toString('hex');
    this.#supervisor = new Supervisor({
      processes: config.processes,
      environment: appEnvironment(config, process.env, appToken),
      workingDirectory: workingDirectoryOf(config),
      killSignal: config.killSignal,
      killTimeoutMs: config.killTimeoutMs,
      output: (name, line) => output.process(name, line),
      event: output.log.notice,
      exitWithMain: config.processes.length === 1 && config.processes[0]?.argv !== undefined,
    });
    this.#promotion = new Promotion(
      config,
      () => this.#require(this.#roles),
      () => this.#require(this.#leadership),
    );
    this.#leading = new LeadershipRoutes(
      config,
      () => this.#require(this.#roles),
      () => this.#require(this.#leadership),
      this.#promotion,
    );
    this.#litefs = new LiteFsApi({
      config,
      roles: () => this.#require(this.#roles),
      replication: () => this.#require(this.#replication),
      writable: async (database) => this.#requirePrimary().writable(database),
      hidden: () => this.#require(this.#directory).hidden,
      promotion: this.#promotion,
      leading: this.#leading,
      warn: output.log.warn,
    });
    this.#startup = new Startup({
      config,
      supervisor: this.#supervisor,
      stopping: this.#stopping.signal,
      changing: (role) => (role === 'primary' ? this.#waysIn.bus.resume() : this.#waysIn.bus.pause()),
      promote: (signal) => this.#promotion.promote(false, signal),
      warn: output.log.warn,
    });
    this.#waysIn = new WaysIn({
      config,
      log: output.log,
      appToken,
      roles: () => this.#roles,
      leadership: () => this.#leadership,
    });
    const { listen, secret } = config.node;
    this.#api = new ApiServer({
      listen,
      secret,
      headers: this.#litefs.headers,
      appToken,
      routes: this.#routes(),
      upgrades: new Map<string, ApiUpgrade>([
        [streamPath, (...call) => this.#acceptStream(...call)],
        ...this.#waysIn.upgrades,
      ]),
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
    await this.#waysIn.door?.listen();
    this.#directory = new DataDirectory(config.database.dir);
    this.#markers = new MarkerFiles(config.database.dir, this.#directory.hidden);
    log.notice('the node has started', {
      node: config.node.name,
      region: config.node.region,
      lease: config.lease.type,
      api: config.node.advertise,
      directory: config.database.dir,
    });
    if (config.litefs) log.notice(`config file read from ${config.sources[0]}`);
    if (config.sections.length > 0)
      log.notice('accepted without effect so far', { sections: config.sections.join(', ') });
    await this.#createRoles(this.#directory);
    await this.#roles?.open();
    this.#leadership?.start();
    this.#waysIn.bus.start();
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    await Promise.race([this.#startup.started, this.failure, aborted]);
    this.#started = true;
  }

  /** Stops everything, in the reverse order. Never rejects. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const steps: (() => Promise<void> | void)[] = [
      () => this.#waysIn.door?.drain(),
      // Functions that run on the primary end before their processes; calls that follow are held where they come from.
      () => this.#waysIn.bus.leave(),
      () => this.#supervisor.stop(),
      () => this.#waysIn.door?.stop(),
      // What a replica writes in this node's place comes in by the API.
      () => this.#litefs.drain(),
      // Before the databases: an export reads one of them for as long as it takes.
      () => this.#api.stopAnswering(),
      () => this.#waysIn.tunnels.stop(),
      // What a program wrote under a halt lock is with the primary first, if that answers.
      () => this.#litefs.settled(),
      // All that was written is at another node, if there is one, before that may lead.
      async () => {
        const isQuiet = (await this.#roles?.ship()) ?? true;
        await this.#leadership?.stop(isQuiet);
      },
      () => this.#waysIn.bus.stop(),
      async () => {
        if (!this.#replication) return;
        await this.#roles?.stop();
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

  get #replication(): PrimaryReplication | ReplicaReplication | undefined {
    return this.#roles?.replication;
  }

  #acceptStream(...call: Parameters<ApiUpgrade>): void {
    if (this.#replication) this.#replication.accept(...call);
    else call[1].end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
  }

  #context(directory: DataDirectory): DatabaseContext {
    return {
      directory: directory.path,
      hiddenDirectory: directory.hidden,
      logLimits: this.#config.log,
      checkpointer: this.#checkpointer,
      rollForward: directory.machineWentDown,
      node: this.#config.node.name,
      nodeId: randomBytes(8).readBigUInt64BE(),
      chainBase: () => chainBaseOf(this.#leadership?.epoch ?? 0),
      recycleFrames,
      notice: this.#output.log.notice,
      warn: this.#output.log.warn,
      lost: (entry) => this.#events.lost(entry),
    };
  }

  async #createRoles(directory: DataDirectory): Promise<void> {
    const { app, node, lease, primaryRegion } = this.#config;
    const { name, region, advertise, candidate, secret } = node;
    const isFixed = lease.type === 'static';
    // A fixed primary never changes, so there is no past to remember.
    const lineage = new LineageFile(isFixed ? undefined : `${directory.hidden}/lineage`);
    const roles = new Roles({
      context: this.#context(directory),
      directory,
      lineage,
      app,
      secret,
      holder: { node: name, region, url: advertise },
      candidate,
      isInPrimaryRegion: region === primaryRegion,
      fixedRole: isFixed ? fixedRoleOf(lease.primary, advertise) : undefined,
      handlers: this.#handlers(),
      leadership: () => leadership,
      changed: (role, hasHandedOver) => this.#changedTo(role, hasHandedOver),
      release: () => this.#startup.release(),
      hasStarted: () => this.#startup.hasStarted,
      isStopping: () => this.#stopping.signal.aborted,
      waitsForSync: this.#config.litefs?.skipSync !== true,
      writesSettled: (timeoutMs) => this.#waysIn.door?.writesSettled(timeoutMs) ?? Promise.resolve(),
      processes: (role) => this.#startup.setRole(role),
      kill: (which) => {
        this.#waysIn.bus.noteLead();
        this.#startup.retract();
        this.#supervisor.kill(which);
      },
    });
    const leadership = new Leadership(await openLease(this.#config), lineage, roles);
    this.#roles = roles;
    this.#leadership = leadership;
  }

  #changedTo(role: 'primary' | 'replica', hasHandedOver: boolean): void {
    this.#hasHandedOver = hasHandedOver;
    this.#waysIn.bus.noteLead();
    this.#events.leadershipChanged({ isPrimary: role === 'primary' });
    if (role === 'primary') this.#markers?.setPrimary(undefined);
    this.#output.log.notice(role === 'primary' ? 'this node leads' : 'this node follows', {
      epoch: this.#leadership?.epoch,
    });
  }

  #handlers(): RolesParts['handlers'] {
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
    const replication = () => this.#require(this.#replication);
    const directory = () => this.#require(this.#directory);
    let metrics: NodeMetrics | undefined;
    const newDatabases = new NewDatabases(this.#config.database.dir);
    const wait = new WaitRoute(replication, newDatabases, () => this.#waysIn.lead.chainEpoch);
    const exporting = new ExportRoute(replication, () => `${directory().hidden}/tmp`);
    const importing = new ImportRoute(replication, directory);
    return new Map<string, ApiRoute>([
      [
        'GET /status',
        ({ response }) =>
          sendJson(
            response,
            200,
            statusOf(
              this.#config,
              replication(),
              { ...this.#waysIn.lead, hasHandedOver: this.#hasHandedOver },
              this.#supervisor.status(),
              this.#waysIn.bus.peers(),
            ),
          ),
      ],
      [
        'GET /health',
        ({ response }) => {
          const health = healthOf(replication(), this.#started);
          sendJson(response, health.healthy ? 200 : 503, health);
        },
      ],
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
          metrics ??= await this.#createMetrics();
          const text = await metrics.registry.metrics();
          response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text);
        },
      ],
      ['POST /wait', (call) => wait.answer(call)],
      ['GET /leadership', (call) => this.#leading.report(call)],
      ...this.#litefs.routes(),
      ['GET /export', (call) => exporting.answer(call)],
      ['POST /import', (call) => importing.answer(call)],
    ]);
  }

  /** Loaded when it is first asked for: a tenth of the node's memory. */
  async #createMetrics(): Promise<NodeMetrics> {
    const { NodeMetrics } = await import('./node-metrics.ts');
    const { app, node } = this.#config;
    return new NodeMetrics({
      replication: () => this.#require(this.#replication),
      leadership: () => this.#require(this.#leadership).report(),
      door: this.#waysIn.door,
      bus: this.#waysIn.bus,
      hiddenDirectory: this.#require(this.#directory).hidden,
      labels: { app, node: node.name, region: node.region },
    });
  }

  /** Throws `NOT_PRIMARY` unless the app may write here. */
  #requirePrimary(): PrimaryReplication {
    const { mayWrite, replication } = this.#require(this.#roles);
    if (mayWrite && replication?.role === 'primary') return replication;
    throw new SkeinError('NOT_PRIMARY', 'This node only reads. Ask the primary for a halt lock.');
  }

  #require<T>(part: T | undefined): T {
    if (part !== undefined) return part;
    throw new SkeinError('DATABASE_BUSY', 'The node is still starting. Try again in a moment.');
  }
}

function fixedRoleOf(primary: string | undefined, advertise: string): 'primary' | 'replica' {
  return primary === undefined || primary === advertise ? 'primary' : 'replica';
}
