import { messageOf, SkeinError } from '../base/errors.ts';
import type { DataDirectory } from '../database/data-directory.ts';
import type { DatabaseContext } from '../database/database-parts.ts';
import { clearLentMarks } from '../database/lent-mark.ts';
import { PrimarySet } from '../database/primary-set.ts';
import type { RestingDatabase } from '../database/resting-database.ts';
import type { Leadership } from '../lease/leadership.ts';
import type { LeadershipHandlers, Member } from '../lease/leadership-handlers.ts';
import type { LeaseHolder, LeaseRecord } from '../lease/lease-record.ts';
import type { LineageFile } from '../lease/lineage-file.ts';
import type { Term } from '../lease/term.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import type { SupervisorRole } from '../supervisor/supervisor.ts';
import { fenceByForce, fenceTimeoutMs } from './fence-by-force.ts';
import { handTo, shipTimeoutMs, targetOf } from './handoff.ts';
import { PrimaryReplication } from './primary-replication.ts';
import { ReplicaReplication, type ReplicaReplicationHandlers } from './replica-replication.ts';

/** How long a writer has to let go where a node starts, and nobody waits for the lease to end. */
const patientFenceTimeoutMs = 10_000;
const never = new AbortController().signal;
/** How long the app has to answer what it was asked before a handoff; a transaction may still wait for the next primary. */
const writesSettleMs = 1_000;

export type RolesParts = {
  readonly context: DatabaseContext;
  readonly directory: DataDirectory;
  readonly lineage: LineageFile;
  readonly app: string;
  readonly secret: string | undefined;
  readonly holder: LeaseHolder;
  readonly candidate: boolean;
  readonly isInPrimaryRegion: boolean;
  /** The role of a node that never changes it; undefined with a lease that candidates take turns in. */
  readonly fixedRole: 'primary' | 'replica' | undefined;
  /** Whether the app's processes start only when this node first holds all that the primary has. */
  readonly waitsForSync: boolean;
  readonly handlers: Pick<
    ReplicaReplicationHandlers,
    'transaction' | 'primaryChanged' | 'lagChanged' | 'refused'
  >;
  leadership(): Leadership;
  /** The role has changed, and the databases are what they are to be in it. `hasHandedOver`: all that the primary had. */
  changed(role: 'primary' | 'replica', hasHandedOver: boolean): void;
  /**
   * The first thing that a primary does for the app; before its processes have started only. Rejects with
   * `RELEASE_COMMAND_FAILED`, and with `LEASE_LOST` when `kill` came before its end.
   */
  release(): Promise<void>;
  /** Requests that write are held at the door by now: resolves when the app has answered those before, or in time. */
  writesSettled(timeoutMs: number): Promise<void>;
  /** Whether the app's processes have been started, in whatever role. */
  hasStarted(): boolean;
  /** It does not come to lead any more: the last of all nodes that stop would lead alone, and be waited for. */
  isStopping(): boolean;
  /** Has the app's processes run as the role asks; stopped ones are gone then. */
  processes(role: SupervisorRole): Promise<void>;
  /** SIGKILL, at once: to those that run on the primary only, or to all. A start that is under way is taken back. */
  kill(which: 'primary' | 'all'): void;
};

/** The databases of one node through all its roles, and what is done at each change. */
export class Roles implements LeadershipHandlers {
  readonly #parts: RolesParts;
  #replication: PrimaryReplication | ReplicaReplication | undefined;
  #term: Term | undefined;
  /** Why the app is kept from writing although this node is the primary. It writes when there is no reason left. */
  readonly #fences = new Set<'term' | 'handoff' | 'change' | 'stop'>();
  /** Whether the app was let in since this node took its lease, and whether all that a change brings is done. */
  #hasOpened = false;
  #isLeading = false;
  #isHandingOff = false;
  /** Nothing that the machine may have lost when it went down counts any more: this node has all of a later chain. */
  #isWholeAgain = false;
  readonly #stopping = new AbortController();

  constructor(parts: RolesParts) {
    this.#parts = parts;
  }

  get replication(): PrimaryReplication | ReplicaReplication | undefined {
    return this.#replication;
  }

  /** Whether this node leads at this moment, and the app may write. */
  get mayWrite(): boolean {
    return this.#replication?.role === 'primary' && this.#mayBeOpen;
  }

  /** Opens what is there, as a replica of nobody. Throws what opening a database throws. */
  async open(): Promise<void> {
    const { lineage, context, directory, fixedRole } = this.#parts;
    if (fixedRole === 'primary') return; // It leads in a moment, and has nobody to ask.
    const replica = this.#createReplica();
    const { role } = lineage.lineage;
    if (role === 'primary') clearLentMarks(directory.hidden);
    if ((fixedRole ?? role) === 'replica') {
      this.#replication = replica;
      await replica.start();
    } else {
      // What this node wrote here last as a primary, or an app alone, may not be in the log yet.
      const set = new PrimarySet(context, directory);
      try {
        await set.start();
        await this.#requireFenced(set);
      } catch (error) {
        await set.stop();
        throw error;
      }
      replica.adopt(await set.rest(), false);
      this.#replication = replica;
    }
    lineage.update({ role: 'replica' });
    directory.markStarted();
    this.#startAsReplica(replica);
  }

  member(): Member {
    const { holder, isStopping, isInPrimaryRegion, lineage, directory } = this.#parts;
    const texts = [...this.#positions()].map(([name, at]) => [name, formatPosition(at)] as const);
    const positions = Object.fromEntries(texts);
    const candidate = this.#parts.candidate && !isStopping();
    const { epoch } = lineage.lineage;
    const isWhole = !directory.machineWentDown || this.#isWholeAgain;
    return { ...holder, candidate, isInPrimaryRegion, isWhole, epoch, positions };
  }

  #positions(): ReadonlyMap<string, Position> {
    const replication = this.#replication;
    if (replication?.role === 'replica') return replication.positionsInPlace();
    return new Map(replication?.databases().map(({ name, position }) => [name, position]));
  }

  isConnected(): boolean {
    return this.#replication?.primary() !== undefined;
  }

  durable(): Pick<LeaseRecord, 'standby' | 'safe'> | undefined {
    if (this.#replication?.role !== 'primary' || !this.#hasOpened) return undefined;
    return this.#replication.durability?.record;
  }

  written(record: LeaseRecord): void {
    if (this.#replication?.role === 'primary') this.#replication.written(record);
  }

  notice(message: string, fields: Record<string, unknown>): void {
    this.#parts.context.notice(message, fields);
  }

  async lead(term: Term): Promise<void> {
    try {
      await this.#lead(term);
    } catch (error) {
      // Another may lead by now, and this node follows; it is nothing to end with.
      if (!(error instanceof SkeinError && error.code === 'LEASE_LOST'))
        this.#parts.handlers.refused(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    }
  }

  async #lead(term: Term): Promise<void> {
    const { directory, lineage } = this.#parts;
    const before = this.#replication;
    if (this.#stopping.signal.aborted) throw new SkeinError('LEASE_LOST', 'This node is being stopped.');
    this.#term = term;
    this.#hasOpened = false;
    // Those of an earlier term that ended in between.
    this.#fences.clear();
    this.#fences.add('change');
    const primary = this.#createPrimary(term);
    if (before?.role === 'replica') {
      const resting = await before.rest();
      try {
        // Before anything is written: after a crash the databases are proven as a primary's.
        lineage.update({ role: 'primary', epoch: term.epoch });
      } catch (error) {
        this.#becomeReplica(resting);
        throw error;
      }
      // What programs of this node wrote under a halt lock is of the chain that begins here.
      clearLentMarks(directory.hidden);
      this.#replication = primary;
      primary.adopt(resting);
    } else {
      this.#replication = primary;
      await primary.start();
      lineage.update({ role: 'primary', epoch: term.epoch });
      clearLentMarks(directory.hidden);
      directory.markStarted();
    }
    if (!term.isValid) throw new SkeinError('LEASE_LOST', 'The lease ended before this node could lead.');
    this.#isWholeAgain = true;
    this.#hasOpened = true;
    this.#open('change');
    this.#parts.changed('primary', false);
    await this.#parts.release();
    await primary.rescanAll();
    primary.setReady();
    this.#isLeading = true;
    this.#startAsPrimary();
  }

  #createPrimary(term: Term): PrimaryReplication {
    const { context, directory, handlers } = this.#parts;
    const { epoch: _, ...identity } = this.#identity();
    const { inherited } = this.#parts.leadership();
    return new PrimaryReplication(context, directory, identity, term, inherited, {
      ...handlers,
      heardOf: (heard) => this.#parts.leadership().heardOf(heard),
    });
  }

  /** Whatever it takes: a writer that does not let go in time is killed. Never rejects. */
  async fence(signal: AbortSignal): Promise<void> {
    this.#fences.add('term');
    const primary = this.#replication;
    if (primary?.role === 'primary') await this.#fenceByForce(primary, signal);
  }

  #fenceByForce(primary: PrimaryReplication, signal: AbortSignal): Promise<void> {
    const { kill, context } = this.#parts;
    return fenceByForce(
      primary,
      { kill, warn: context.warn },
      AbortSignal.any([signal, this.#stopping.signal]),
    );
  }

  async unfence(): Promise<void> {
    this.#open('term');
    this.#startAsPrimary();
  }

  get #mayBeOpen(): boolean {
    return this.#fences.size === 0 && this.#term?.isValid === true;
  }

  /** Takes a reason to keep the app from writing away, and lets it write if that was the last. */
  #open(reason: 'term' | 'handoff' | 'change'): void {
    this.#fences.delete(reason);
    const primary = this.#replication;
    if (primary?.role === 'primary' && this.#mayBeOpen) primary.unfence();
  }

  async follow(leader: LeaseHolder | undefined, _epoch: number): Promise<void> {
    const { secret, context } = this.#parts;
    const primary = this.#replication;
    this.#isLeading = false;
    if (primary?.role === 'primary') {
      this.#fences.add('change');
      await this.#fenceByForce(primary, never);
      if (this.#stopping.signal.aborted) return;
      const replica = this.#becomeReplica(await primary.rest());
      try {
        this.#parts.lineage.update({ role: 'replica' });
      } catch (error) {
        // A full disk: a start proves the databases as a primary's, which takes what is there for this node's own.
        context.warn('this node cannot note that it follows', { reason: messageOf(error) });
      }
      this.#parts.changed('replica', primary.hasHandedOver);
      this.#startAsReplica(replica);
    }
    this.#fences.clear();
    if (this.#replication?.role === 'replica')
      await this.#replication.follow(leader && { url: leader.url, secret });
  }

  #becomeReplica(resting: readonly RestingDatabase[]): ReplicaReplication {
    const replica = this.#createReplica();
    this.#replication = replica;
    replica.adopt(resting, this.#parts.hasStarted());
    return replica;
  }

  /**
   * Hands the lease to another node, or to the one that is nearest to it. Rejects with `NO_CANDIDATE` when there is none in
   * step, `DATABASE_BUSY` when a writer does not let go, and as `Leadership.handOver` does; but for the last, this node leads on.
   */
  async handOff(node: string | undefined): Promise<string> {
    const primary = this.#replication;
    if (primary?.role !== 'primary' || !this.#mayBeOpen)
      throw new SkeinError('NOT_PRIMARY', 'Only the primary can hand over. Ask the node that leads.');
    if (!this.#isLeading)
      throw new SkeinError('DATABASE_BUSY', 'This node has only begun to lead. Try again in a moment.');
    if (this.#isHandingOff) throw new SkeinError('DATABASE_BUSY', 'A handoff is under way already.');
    this.#isHandingOff = true;
    try {
      const target = targetOf(primary, node);
      // A database that the app has made a moment ago goes along.
      await primary.rescanAll();
      // While the app writes on: the rest takes a moment then, not a second.
      if (!(await primary.shipped(shipTimeoutMs, target.node)))
        throw new SkeinError(
          'NO_CANDIDATE',
          `${target.node} is too far behind to take over. Try again later.`,
        );
      await this.#parts.processes('replica').catch(() => undefined);
      this.#fences.add('handoff');
      await this.#parts.writesSettled(writesSettleMs);
      await handTo(target, {
        primary,
        leadership: this.#parts.leadership(),
        signal: this.#stopping.signal,
        isFenced: () => this.#replication === primary && this.#fences.has('handoff'),
      });
      return target.node;
    } finally {
      this.#isHandingOff = false;
      if (this.#fences.has('handoff')) {
        this.#open('handoff');
        this.#startAsPrimary();
      }
    }
  }

  /**
   * Waits until all that is committed is at another candidate, if there is one. The app has stopped. False when some
   * program writes on all the same: the lease is not to be given up then.
   */
  async ship(): Promise<boolean> {
    const primary = this.#replication;
    // Whatever waits for a program to end waits no longer.
    this.#stopping.abort();
    if (primary?.role !== 'primary') return true;
    this.#fences.add('stop');
    // A program that is not the app could still write.
    const held = this.#parts.fixedRole === undefined ? await primary.fence(fenceTimeoutMs, never) : [];
    await primary.capture();
    if (primary.replicas().some(({ connected, candidate }) => connected && candidate)) {
      await primary.shipped(shipTimeoutMs);
      primary.durability?.check();
    }
    return held.length === 0;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#replication?.stop();
  }

  /** Unless it is fenced or lost by now, or has only begun to lead. */
  #startAsPrimary(): void {
    if (this.#isLeading && this.mayWrite) this.#start('primary');
  }

  /** An app that has not run yet finds what it expects only when all is here that the primary has. */
  #startAsReplica(replica: ReplicaReplication): void {
    const { waitsForSync, hasStarted } = this.#parts;
    const synced = waitsForSync && !hasStarted() ? replica.synced : Promise.resolve();
    void synced.then(() => {
      if (this.#replication === replica) this.#start('replica');
    });
  }

  #start(role: SupervisorRole): void {
    this.#parts.processes(role).catch(this.#parts.handlers.refused);
  }

  async #requireFenced(set: PrimarySet): Promise<void> {
    const held = await set.fence(patientFenceTimeoutMs, this.#stopping.signal);
    if (held.length === 0) return;
    throw new SkeinError(
      'DATABASE_BUSY',
      `${held.join(', ')}: a program holds a write transaction open. Stop it, then start again.`,
    );
  }

  #createReplica(): ReplicaReplication {
    const { context, directory, handlers, lineage, candidate } = this.#parts;
    const leadership = this.#parts.leadership;
    return new ReplicaReplication(
      context,
      directory,
      () => ({ ...this.#identity(), candidate, chainEpoch: lineage.lineage.epoch }),
      {
        ...handlers,
        heardOf: (epoch) => leadership().heardOf(epoch),
        inStep: (epoch) => {
          this.#isWholeAgain = true;
          try {
            if (epoch !== lineage.lineage.epoch) lineage.update({ epoch });
          } catch (error) {
            // A full disk: this node is taken for one that has less than it has, until there is room.
            context.warn('this node cannot note what it follows', { reason: messageOf(error) });
          }
        },
        lead: (token, record) => leadership().takeOver(token, record),
      },
    );
  }

  #identity(): { app: string; node: string; region: string; url: string; epoch: number } {
    const { app, holder } = this.#parts;
    return { app, ...holder, epoch: this.#parts.leadership().epoch };
  }
}
