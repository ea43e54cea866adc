import { bootClockMs } from '../base/clock.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { AcceptedLoss } from './accepted-loss.ts';
import { obstacleTo } from './eligibility.ts';
import { ForgetfulStore } from './forgetful-store.ts';
import { Handover } from './handover.ts';
import type { LeadershipHandlers, Member } from './leadership-handlers.ts';
import { type Lease, type LeaseState, type LeaseToken, leaseTimeoutMs } from './lease.ts';
import type { Announcement, LeaseHolder, LeaseRecord } from './lease-record.ts';
import type { LineageFile } from './lineage-file.ts';
import { Term } from './term.ts';
import { Turn } from './turn.ts';

/** How long a candidate lets one go first that has more. */
const turnMs = 250;
const retryMs = 250;
/** After a promotion that failed, others may try first. */
const failedPauseMs = 2_000;

const noneSafe: LeaseRecord['safe'] = { epoch: 0, positions: {} };

type Offer = { readonly token: LeaseToken; readonly record: LeaseRecord };

export type LeadershipReport = {
  readonly epoch: number;
  readonly holder: LeaseHolder | null;
  readonly validForMs: number;
  /** Why this node would not take the lease if it were free now. */
  readonly obstacle: string | undefined;
  /** Why the lease store is of no use; undefined while it answers. */
  readonly problem: string | undefined;
};

/** Decides, with the other candidates, who leads: `DESIGN.md` has the states, the rules, and why they hold. */
export class Leadership {
  readonly #lease: Lease;
  readonly #lineage: LineageFile;
  readonly #handlers: LeadershipHandlers;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #term: Term | undefined;
  #offer: Offer | undefined;
  /** A handoff whose target has been told. */
  #handover: Handover | undefined;
  #record: LeaseRecord | undefined;
  /** With which this node's term began: it stands until the node leads. */
  #inherited: LeaseRecord | undefined;
  readonly #acceptedLoss = new AcceptedLoss();
  readonly #store = new ForgetfulStore();
  readonly #turn = new Turn();
  #problem: string | undefined;
  #saidObstacle = '';
  #running: Promise<void> | undefined;

  constructor(lease: Lease, lineage: LineageFile, handlers: LeadershipHandlers) {
    this.#lease = lease;
    this.#lineage = lineage;
    this.#handlers = handlers;
    this.#record = lineage.lineage.record;
  }

  /** The term of this node, while it leads. */
  get term(): Term | undefined {
    return this.#term;
  }

  /** What the record says with which this node began to lead. */
  get inherited(): Pick<LeaseRecord, 'safe'> & { readonly standby: string } {
    return {
      standby: this.#inherited?.standby ?? this.#handlers.member().node,
      safe: this.#inherited?.safe ?? noneSafe,
    };
  }

  /** The highest epoch heard of. */
  get epoch(): number {
    return Math.max(this.#record?.epoch ?? 0, this.#lineage.lineage.epoch);
  }

  /** Of the last leader whose chain all databases here were seen to follow, this node itself perhaps; 0 for none. */
  get chainEpoch(): number {
    return this.#lineage.lineage.epoch;
  }

  report(): LeadershipReport {
    const record = this.#record;
    return {
      epoch: this.epoch,
      holder: record?.holder ?? null,
      validForMs: this.#term?.validForMs ?? 0,
      obstacle: obstacleTo(this.#handlers.member(), record),
      problem: this.#problem,
    };
  }

  /** Who has told that it could lead, and why some could not if the lease were free. Throws `LEASE_UNREACHABLE`. */
  async survey(): Promise<(Announcement & { readonly obstacle: string | undefined })[]> {
    const { record } = await this.#lease.read(this.#timeout());
    const told = await this.#lease.announcements(this.#timeout());
    return told.map((one) => ({ ...one, obstacle: obstacleTo({ ...one, candidate: true }, record) }));
  }

  start(): void {
    this.#running = this.#run();
  }

  /**
   * Gives the lease up, if it is held and `isQuiet`: the app has stopped by now, and all that it wrote is captured. Never
   * rejects.
   */
  async stop(isQuiet = true): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    const term = this.#term;
    if (term?.isValid && isQuiet)
      await term.release({ ...this.#currentRecord(), holder: null, standby: null }, this.#timeout());
    else term?.lose();
    await this.#running;
    await this.#lease.close();
  }

  /** A primary hands its hold to this node. */
  takeOver(token: LeaseToken, record: LeaseRecord): void {
    this.#offer = { token, record };
    this.#wake.abort();
  }

  /**
   * What was acknowledged may be lost: a person said so, of the record as it is now. It stands until that changes, or `signal`
   * aborts.
   */
  acceptLoss(signal: AbortSignal): void {
    this.#acceptedLoss.accept({ epoch: this.epoch, standby: this.#record?.standby }, signal);
    this.#wake.abort();
  }

  /** A peer knows of a higher epoch than this node. */
  heardOf(epoch: number): void {
    if (epoch > this.epoch) this.#wake.abort();
    if (this.#term && epoch > this.#term.epoch) this.#term.lose();
  }

  /**
   * Hands this node's hold to another node: `tell` sends it what it needs, or throws, and this node leads on then; `done` is called
   * when the store names it. All that this node has is at the target, and the app cannot write. Rejects with `LEASE_LOST`
   * when that does not come about before the hold ends; nobody can tell then who leads, and this node follows.
   */
  async handOver(
    target: LeaseHolder,
    tell: (token: LeaseToken, record: LeaseRecord) => void,
    done: () => void,
  ): Promise<void> {
    const term = this.#term;
    if (!term) throw new SkeinError('NOT_PRIMARY', 'This node does not lead.');
    const { node, positions } = this.#handlers.member();
    const record: LeaseRecord = {
      epoch: term.epoch + 1,
      holder: target,
      // What the target has is `safe`; positions are those of a holder that leads.
      positions: {},
      safe: { epoch: term.epoch, positions: { ...positions } },
      // This node has all that the target has: it could lead again.
      standby: node,
    };
    const handover = new Handover(record.epoch, target.node, done);
    const told = (token: LeaseToken) => {
      tell(token, record);
      // From here on, only the store knows who leads.
      this.#handover = handover;
    };
    if (!(await term.handOver(told)))
      throw new SkeinError('LEASE_LOST', 'The lease was lost before it could be handed over.');
    if (await handover.isTaken) return;
    throw new SkeinError(
      'LEASE_LOST',
      `${target.node} did not take the lease. Whoever can leads when it has ended.`,
    );
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const offer = this.#offer;
        this.#offer = undefined;
        if (offer) await this.#takeOffer(offer);
        else await this.#look();
        this.#problem = undefined;
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
        if (this.#stopping.signal.aborted) return;
        const problem = messageOf(error);
        if (problem !== this.#problem)
          this.#handlers.notice('the lease store is of no use; reads go on', { reason: problem });
        this.#problem = problem;
        await sleep(retryMs, this.#wakeUp());
      }
    }
  }

  async #look(): Promise<void> {
    const state = await this.#lease.read(this.#timeout());
    const { record } = state;
    if (record && record.epoch >= this.epoch) this.#store.remembers();
    // A hold that is handed to this node: what proves it is on its way through the link, which must not be cut.
    const isMine = record?.holder?.node === this.#handlers.member().node;
    if (state.isHeld && isMine) return this.#changed(state);
    if (state.isHeld) return this.#respect(state);
    if (record && record.epoch >= this.epoch) this.#remember(record);
    if (!(await this.#tryToLead(state))) await this.#changed(state);
  }

  /** Somebody leads, or is about to. */
  async #respect(state: LeaseState): Promise<void> {
    const { record } = state;
    const isOutdated = record !== undefined && record.epoch < this.epoch;
    if (isOutdated) {
      this.#say(
        `the lease is at epoch ${record.epoch}, and this node has seen epoch ${this.epoch}: the store was emptied, or is another one`,
      );
    }
    const leader = isOutdated ? undefined : (record?.holder ?? undefined);
    await this.#handlers.follow(leader, record?.epoch ?? this.epoch);
    if (record && !isOutdated) this.#remember(record);
    await this.#announce();
    await this.#changed(state);
  }

  /** False when this node did not come to lead. */
  async #tryToLead(state: LeaseState): Promise<boolean> {
    const member = this.#handlers.member();
    const base = this.#record;
    await this.#announce();
    if (!this.#handlers.isConnected()) await this.#handlers.follow(undefined, this.epoch);
    const hasForgotten = !state.record || state.record.epoch < this.epoch;
    if (hasForgotten && !(await this.#store.mayBeReminded(this.#lease, this.epoch, this.#timeout())))
      return false;
    const isLossAccepted = this.#acceptedLoss.covers({ epoch: this.epoch, standby: base?.standby });
    const obstacle = isLossAccepted && member.candidate ? undefined : obstacleTo(member, base);
    if (obstacle !== undefined) {
      this.#say(`this node ${obstacle}`);
      return false;
    }
    if (!isLossAccepted && (await this.#turn.isAnothers(this.#lease, state, member, base, this.#timeout()))) {
      await sleep(turnMs, this.#wakeUp());
      return false;
    }
    const { node, region, url } = member;
    const record: LeaseRecord = {
      epoch: this.epoch + 1,
      holder: { node, region, url },
      positions: {},
      safe: safeAfter(member, base),
      standby: node,
    };
    const beganMs = bootClockMs();
    const token = await this.#lease.acquire(state, record, this.#timeout());
    if (token === undefined) return true;
    await this.#serve(token, record, beganMs);
    return true;
  }

  async #takeOffer({ token, record }: Offer): Promise<void> {
    if (record.epoch <= this.epoch && this.#record?.holder?.node !== this.#handlers.member().node) return;
    const untilMs = bootClockMs() + this.#lease.ttlMs;
    for (;;) {
      // Only a renewal of its own tells this node how long the hold is good for.
      const beganMs = bootClockMs();
      try {
        if (!(await this.#lease.renew(token, record, this.#timeout()))) return;
      } catch (error) {
        // Nobody else has the token: while the hold lasts, it is this node's to try again.
        if (!(error instanceof SkeinError) || bootClockMs() >= untilMs) throw error;
        await sleep(retryMs, this.#stopping.signal);
        if (this.#stopping.signal.aborted) return;
        continue;
      }
      return this.#serve(token, record, beganMs);
    }
  }

  /** From the taking of the lease to its end. */
  async #serve(token: LeaseToken, record: LeaseRecord, beganMs: number): Promise<void> {
    this.#remember(record);
    this.#inherited = record;
    const handlers = this.#handlers;
    const term = new Term(this.#lease, token, record.epoch, beganMs, {
      record: () => this.#currentRecord(),
      written: (current) => {
        this.#record = current;
        handlers.written(current);
      },
      fence: (signal) => handlers.fence(signal),
      unfence: () => handlers.unfence(),
      notice: (message, fields) => handlers.notice(message, fields),
    });
    // A stop that came while the lease was being taken has found no term to give up.
    if (this.#stopping.signal.aborted)
      return term.release({ ...record, holder: null, standby: null }, this.#timeout());
    this.#term = term;
    this.#saidObstacle = '';
    const running = term.run();
    try {
      await this.#handlers.lead(term);
      this.#acceptedLoss.end();
      // What it has is known only now.
      term.write();
      const end = await running;
      if (end === 'lost') this.#store.lost(term.validUntilMs);
      if (end === 'lost')
        handlers.notice('this node does not lead any more: its lease ended', { epoch: term.epoch });
    } catch (error) {
      handlers.notice('this node could not lead; the lease is given up', { reason: messageOf(error) });
      await this.#handlers.fence(this.#stopping.signal);
      // Once the hold is another's to take, giving it up would take it from that one.
      if (!this.#handover)
        await term.release({ ...this.#currentRecord(), holder: null, standby: null }, this.#timeout());
      await running;
      await sleep(failedPauseMs, this.#stopping.signal);
    } finally {
      // The app stays fenced meanwhile.
      const taken = await this.#handover?.settle(this.#lease, term.validUntilMs, this.#stopping.signal);
      if (taken) this.#record = taken;
      this.#handover = undefined;
      this.#term = undefined;
    }
    if (this.#stopping.signal.aborted) return;
    const leader = this.#record?.holder?.node === record.holder?.node ? undefined : this.#record?.holder;
    await this.#handlers.follow(leader ?? undefined, this.epoch);
  }

  #currentRecord(): LeaseRecord {
    const { node, region, url, epoch: lineageEpoch, positions: own } = this.#handlers.member();
    const epoch = this.#term?.epoch ?? this.epoch;
    // Until this node has noted that it leads, they are of the chain before: it could not prove them after a crash.
    const positions = lineageEpoch === epoch ? own : {};
    const { standby, safe } = this.#handlers.durable() ?? this.inherited;
    return { epoch, holder: { node, region, url }, positions: { ...positions }, safe, standby };
  }

  #remember(record: LeaseRecord): void {
    const isNews = record.epoch !== this.#record?.epoch || record.standby !== this.#record.standby;
    this.#record = record;
    // Not at each renewal: what it is for is the epoch, and who must not be left out.
    if (!isNews) return;
    try {
      this.#lineage.update({ record });
    } catch (error) {
      // A full disk: only a store that is emptied would be believed by mistake.
      this.#handlers.notice('the lease record cannot be noted', { reason: messageOf(error) });
    }
  }

  async #announce(): Promise<void> {
    const { node, region, url, epoch, positions, candidate } = this.#handlers.member();
    if (!candidate) return;
    const isConnected = this.#handlers.isConnected();
    await this.#lease.announce(
      { node, region, url, epoch, positions: { ...positions }, isConnected },
      this.#timeout(),
    );
  }

  async #changed(state: LeaseState): Promise<void> {
    const signal = this.#wakeUp();
    // A store that was emptied, and a candidate that comes back, are no change of the record.
    const bound = state.isHeld ? signal : AbortSignal.any([signal, AbortSignal.timeout(retryMs)]);
    await this.#lease.changed(state, bound);
  }

  #say(obstacle: string): void {
    if (obstacle === this.#saidObstacle) return;
    this.#saidObstacle = obstacle;
    this.#handlers.notice('nobody leads that this node can follow', { reason: obstacle });
  }

  #wakeUp(): AbortSignal {
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    if (this.#offer) this.#wake.abort();
    return AbortSignal.any([this.#wake.signal, this.#stopping.signal]);
  }

  #timeout(): AbortSignal {
    return AbortSignal.timeout(leaseTimeoutMs(this.#lease.ttlMs));
  }
}

/** What a new holder knows to be acknowledged at most: all that it has, where a standby may have acknowledged more. */
function safeAfter(member: Member, base: LeaseRecord | undefined): LeaseRecord['safe'] {
  const owned = { epoch: member.epoch, positions: { ...member.positions } };
  if (!base) return noneSafe;
  if (base.standby === null) return base.safe;
  return owned;
}
