import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { formatPosition, type Position, parsePosition } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import { type CallOutcome, type PlacedCall, refused } from './call.ts';
import type { CallRunner } from './call-runner.ts';
import { Change } from './change.ts';
import type { FromPeer } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import type { ProcessLink } from './process-link.ts';
import { until } from './until.ts';

const inFlightMax = 20_000;
/** A call that was not taken is offered again after this, or when something has changed. */
const retryMs = 100;
/** How long the primary may take to say what has become of a call that is given up. */
const cancelMs = 1_000;

/** When this copy of a database is of another chain, or came as a whole: how soon the primary is asked where it is by then. */
const lookAgainMs = 200;

type Wanted = { readonly name: string; readonly position: Position };

export type CallsParts = {
  readonly runner: CallRunner;
  replication(): Replication | undefined;
  /** The highest that this node has heard of. */
  epoch(): number;
  links(): readonly PeerLink[];
};

/** A call that may be asked for once more, by its id: of the same run of the node that has it. */
type Inquiry = {
  readonly node: string;
  readonly run: string;
  /** In which that node led. */
  readonly epoch: number;
  readonly deadlineMs: number;
};

type Asked = {
  /** Undefined while the link is lost over which the answer would come. */
  link: PeerLink | undefined;
  readonly inquiry: Inquiry | undefined;
  settle(outcome: CallOutcome): void;
};

/** Brings calls of this node's processes to the primary, wherever that is. */
export class Calls {
  readonly #parts: CallsParts;
  readonly #change = new Change();
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #placed = 0;

  constructor(parts: CallsParts) {
    this.#parts = parts;
  }

  get inFlight(): number {
    return this.#placed;
  }

  /** Who leads, and whether links to them stand, has changed. */
  changed(): void {
    this.#inquire();
    this.#change.notify();
  }

  /** Resolves to what the caller is told; `again` does not occur. An aborted signal ends the wait at its time or before. */
  async place(call: PlacedCall, from: ProcessLink, signal: AbortSignal): Promise<CallOutcome> {
    if (this.#placed >= inFlightMax)
      return refused('BUS_OVERLOADED', `${inFlightMax} calls are under way on this node already.`);
    this.#placed += 1;
    try {
      return await this.#place(call, from, signal);
    } finally {
      this.#placed -= 1;
    }
  }

  async #place(call: PlacedCall, from: ProcessLink, signal: AbortSignal): Promise<CallOutcome> {
    const { runner } = this.#parts;
    while (!signal.aborted) {
      const link = runner.accepts(call) ? undefined : this.#leader();
      const epoch = link?.leadsIn ?? this.#parts.epoch();
      let outcome: CallOutcome = { kind: 'again' };
      if (runner.accepts(call)) outcome = await runner.run(call, from, signal);
      else if (link) outcome = await this.#ask(link, call, signal);
      if (outcome.kind === 'done') outcome = await this.#seen(call, outcome, epoch, signal);
      if (outcome.kind === 'unknown' && call.idempotent && !signal.aborted) outcome = { kind: 'again' };
      if (outcome.kind !== 'again') return outcome;
      await this.#change.next(signal, retryMs);
    }
    return refused(
      'PRIMARY_UNREACHABLE',
      `${call.name} was not run: no primary that this node is linked with could take it in time. Try again later.`,
    );
  }

  /** The link to the node that says it leads, in the highest epoch if there are several. */
  #leader(): PeerLink | undefined {
    let leader: PeerLink | undefined;
    for (const link of this.#parts.links())
      if (link.leadsIn !== undefined && link.leadsIn >= (leader?.leadsIn ?? -1)) leader = link;
    return leader;
  }

  #ask(link: PeerLink, call: PlacedCall, signal: AbortSignal): Promise<CallOutcome> {
    const { name, args, idempotent, nested, durability, deadlineMs } = call;
    const leftMs = Math.max(0, deadlineMs - monotonicMs());
    const frame = { t: 'call', name, leftMs, idempotent, nested, durability } as const;
    // What may run twice is made again, wherever that is, and not asked for.
    const inquiry = idempotent ? undefined : { ...runOf(link), epoch: link.leadsIn ?? 0, deadlineMs };
    return this.#request(link, (id) => link.send({ ...frame, id }, args), signal, inquiry);
  }

  /** Resolves to the other node's answer; to `again` when nothing was sent, and `unknown` when no answer came. */
  #request(
    link: PeerLink,
    send: (id: number) => boolean,
    signal: AbortSignal,
    inquiry?: Inquiry,
  ): Promise<CallOutcome> {
    this.#lastId += 1;
    const id = this.#lastId;
    if (!send(id)) return Promise.resolve({ kind: 'again' });
    const { promise, resolve } = Promise.withResolvers<CallOutcome>();
    let giving: NodeJS.Timeout | undefined;
    const giveUp = () => {
      const asked = this.#asked.get(id);
      const unknown = () => asked?.settle({ kind: 'unknown' });
      if (asked?.link?.send({ t: 'cancel', id })) giving = setTimeout(unknown, cancelMs);
      else unknown();
    };
    this.#asked.set(id, {
      link,
      inquiry,
      settle: (outcome) => {
        this.#asked.delete(id);
        clearTimeout(giving);
        signal.removeEventListener('abort', giveUp);
        resolve(outcome);
      },
    });
    signal.addEventListener('abort', giveUp);
    return promise;
  }

  /**
   * Waits until this node's databases hold what the function wrote in `epoch`. When another leads before any other candidate had
   * that, nobody knows whether it stays.
   */
  async #seen(
    call: PlacedCall,
    outcome: Extract<CallOutcome, { kind: 'done' }>,
    epoch: number,
    signal: AbortSignal,
  ): Promise<CallOutcome> {
    let wanted: readonly Wanted[] = positionsOf(outcome);
    const isOpen = () => !outcome.durable && this.#isSucceeded(epoch);
    const isThere = (current: Replication) => isOpen() || wanted.every((one) => reaches(current, one));
    while (await until(this.#parts.replication, isThere, signal)) {
      if (isOpen()) return { kind: 'unknown' };
      const current = this.#parts.replication();
      if (current && wanted.every(({ name, position }) => !current.contradicts(name, position)))
        return outcome;
      if (signal.aborted) break;
      // A copy that came as a whole, or that is about to: the next position is one that its log can know.
      await this.#change.next(signal, lookAgainMs);
      wanted = (await this.#positionsNow(Object.keys(outcome.positions), signal)) ?? wanted;
    }
    if (isOpen()) return { kind: 'unknown' };
    const message = `${call.name} ran, but this node has not caught up with what it wrote in time. It follows; skein status shows by how much it is behind.`;
    return { ...outcome, error: outcome.error ?? { name: 'SkeinError', code: 'WAIT_TIMEOUT', message } };
  }

  async #positionsNow(
    databases: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Wanted[] | undefined> {
    const link = this.#leader();
    if (!link || signal.aborted) return undefined;
    const send = (id: number) => link.send({ t: 'where', id, databases: [...databases] });
    const outcome = await this.#request(link, send, signal);
    return outcome.kind === 'done' ? positionsOf(outcome) : undefined;
  }

  /** Another node asks where the databases are now. */
  async tell(link: PeerLink, { id, databases }: Extract<FromPeer, { t: 'where' }>): Promise<void> {
    const replication = this.#parts.replication();
    const positions: Record<string, string> = {};
    try {
      if (replication?.role !== 'primary') throw new SkeinError('NOT_PRIMARY', 'This node does not lead.');
      for (const name of databases) positions[name] = formatPosition(await replication.currentPosition(name));
      link.send({ t: 'outcome', id, kind: 'done', positions });
    } catch {
      // Asked again where it is asked for.
      link.send({ t: 'outcome', id, kind: 'again' });
    }
  }

  /** The answer of another node to a call of this one. */
  takeOutcome(link: PeerLink, frame: Extract<FromPeer, { t: 'outcome' }>, text: string | undefined): void {
    const asked = this.#asked.get(frame.id);
    if (asked?.link !== link) return;
    const { kind, error, durable, positions } = frame;
    if (kind === 'done') asked.settle({ kind, text, error, durable, positions });
    else if (kind === 'refused') asked.settle({ kind, error: error ?? { name: 'Error', message: '' } });
    else asked.settle({ kind });
  }

  /** A link is lost: what became of the calls that were sent over it, only the node that got them may tell. */
  lost(link: PeerLink): void {
    for (const asked of [...this.#asked.values()]) {
      if (asked.link !== link) continue;
      asked.link = undefined;
      if (!asked.inquiry) asked.settle({ kind: 'unknown' });
    }
    this.changed();
  }

  /** Asks for calls whose link was lost where there is another to the same run of the node, and gives up where there will be none. */
  #inquire(): void {
    for (const [id, asked] of [...this.#asked]) {
      const { inquiry } = asked;
      if (asked.link || !inquiry) continue;
      const link = this.#parts.links().find(({ peer }) => peer.node === inquiry.node);
      if (link?.peer.run === inquiry.run) {
        const leftMs = Math.max(0, inquiry.deadlineMs - monotonicMs());
        if (link.send({ t: 'inquire', id, leftMs })) asked.link = link;
      } else if (link || this.#isSucceeded(inquiry.epoch)) {
        // It has started anew, or is not waited for any more: another leads.
        asked.settle({ kind: 'unknown' });
      }
    }
  }

  #isSucceeded(epoch: number): boolean {
    return this.#parts.epoch() > epoch || this.#parts.links().some(({ leadsIn = 0 }) => leadsIn > epoch);
  }
}

function runOf({ peer: { node, run } }: PeerLink): { node: string; run: string } {
  return { node, run };
}

function positionsOf({ positions }: Extract<CallOutcome, { kind: 'done' }>): Wanted[] {
  return Object.entries(positions).flatMap(([name, text]) => {
    const position = parsePosition(text);
    return position ? [{ name, position }] : [];
  });
}

function reaches(current: Replication, { name, position }: Wanted): boolean {
  return (current.position(name)?.txid ?? -1) >= position.txid;
}
