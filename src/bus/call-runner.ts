import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import type { ErrorParts } from '../client/bus-frames.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import { type CallOutcome, type PlacedCall, refused } from './call.ts';
import { Change } from './change.ts';
import type { ProcessLink } from './process-link.ts';
import { until } from './until.ts';

const runsMax = 10_000;
/** A process that registers the name may be starting again. */
const servedWithinMs = 10_000;
/** How long an answer waits for another candidate unless the caller asked for it. */
const durableWithinMs = 5_000;
/** What cannot be captured, on a full disk say, is tried again after this. */
const captureAgainMs = 250;

export type CallRunnerParts = {
  replication(): Replication | undefined;
  /** Whether this node leads, and the app may write. */
  mayWrite(): boolean;
  /** Has databases found that the app has just made. */
  lookForNew(replication: Replication): Promise<void>;
  /** Whether calls run here has changed. */
  changed(): void;
};

type Ran = { readonly text: string | undefined; readonly error: ErrorParts | undefined };
/** Before a run. */
type Before = { readonly positions: ReadonlyMap<string, Position>; readonly problems: ReadonlySet<string> };
type Written = {
  readonly before: Before;
  /** Undefined while it is not known what was written. */
  readonly positions: ReadonlyMap<string, Position> | undefined;
};
type Run = {
  readonly process: ProcessLink;
  readonly end: (ran: Ran | undefined) => void;
};

/** Runs calls in the app's processes of this node, while it leads. */
export class CallRunner {
  readonly #parts: CallRunnerParts;
  readonly #processes = new Set<ProcessLink>();
  readonly #runs = new Map<number, Run>();
  readonly #change = new Change();
  #lastId = 0;
  #turn = 0;
  /** Between the beginning of a run and the capture of what it wrote. */
  #writing = 0;
  #isResumed = false;

  constructor(parts: CallRunnerParts) {
    this.#parts = parts;
  }

  /** Functions that run here now. */
  get running(): number {
    return this.#runs.size;
  }

  get leads(): boolean {
    return this.#isResumed && this.#parts.mayWrite();
  }

  /** A call of a function that runs goes on while others are held: else the two would wait for each other. */
  accepts({ nested }: PlacedCall): boolean {
    return this.leads || (nested && this.#writing > 0 && this.#parts.mayWrite());
  }

  resume(): void {
    this.#isResumed = true;
    this.#noteChange();
  }

  /** Begins no more runs, and resolves when those that write have ended, or after `timeoutMs`. */
  async pause(timeoutMs: number): Promise<void> {
    if (!this.#isResumed) return;
    this.#isResumed = false;
    this.#noteChange();
    const deadlineMs = monotonicMs() + timeoutMs;
    const never = new AbortController().signal;
    // Where this node does not lead any more, they cannot write, and nobody needs to wait.
    while (this.#writing > 0 && this.#parts.mayWrite() && monotonicMs() < deadlineMs && !this.#isResumed)
      await this.#change.next(never, deadlineMs - monotonicMs());
  }

  add(process: ProcessLink): void {
    this.#processes.add(process);
    this.#change.notify();
  }

  /** The process has registered names. */
  served(): void {
    this.#change.notify();
  }

  /** The process is gone; what it was running may have been done or not. */
  remove(process: ProcessLink): void {
    this.#processes.delete(process);
    for (const run of [...this.#runs.values()]) if (run.process === process) run.end(undefined);
  }

  ran(process: ProcessLink, id: number, ran: Ran): void {
    const run = this.#runs.get(id);
    if (run?.process === process) run.end(ran);
  }

  /**
   * `preferred` runs it if it can: the process that makes the call. Aborting `signal` ends what has not begun, and the wait for
   * what has, which runs to its end. `begins` is called before a process gets it, with the lead in which it does.
   */
  async run(
    call: PlacedCall,
    preferred: ProcessLink | undefined,
    signal: AbortSignal,
    begins: (lead: Replication) => void = () => undefined,
  ): Promise<CallOutcome> {
    const process = await this.#processFor(call, preferred, signal);
    if (!('send' in process)) return process;
    const replication = this.#parts.replication();
    if (!replication || !this.accepts(call) || this.#runs.size >= runsMax) return { kind: 'again' };
    const { promise: abandoned, resolve: abandon } = Promise.withResolvers<undefined>();
    const end = () => abandon(undefined);
    signal.addEventListener('abort', end);
    begins(replication);
    const written = await Promise.race([this.#write(call, process, replication), abandoned]);
    signal.removeEventListener('abort', end);
    if (!written?.ran) return call.idempotent && !signal.aborted ? { kind: 'again' } : { kind: 'unknown' };
    // What it met was the end of this node's lead.
    if (written.ran.error && call.idempotent && !this.#parts.mayWrite()) return { kind: 'again' };
    return this.#settled(call, replication, written.ran, written, preferred !== undefined, signal);
  }

  /**
   * What an outcome of a while ago has come to: what nobody else had then may be lost with the lead in which it was written.
   * Undefined while this node cannot tell whether it is.
   */
  standing(outcome: CallOutcome, lead: Replication | undefined): CallOutcome | undefined {
    if (outcome.kind !== 'done' || outcome.durable || !lead) return outcome;
    if (lead.isOver) return lead.hasHandedOver ? { ...outcome, durable: true } : { kind: 'unknown' };
    return this.#parts.mayWrite() ? outcome : undefined;
  }

  /** Runs it, and captures what it wrote: a handoff waits for the two. */
  async #write(call: PlacedCall, process: ProcessLink, replication: Replication) {
    const positions = new Map(replication.databases().map(({ name, position }) => [name, position]));
    const before = { positions, problems: new Set(replication.problems().keys()) };
    this.#writing += 1;
    try {
      const ran = await this.#runIn(process, call);
      return { ran, before, positions: await this.#positionsSince(replication, before) };
    } finally {
      this.#writing -= 1;
      this.#change.notify();
    }
  }

  async #settled(
    call: PlacedCall,
    replication: Replication,
    { text, error }: Ran,
    written: Written,
    isOwn: boolean,
    signal: AbortSignal,
  ): Promise<CallOutcome> {
    const positions = written.positions ?? (await this.#capturedLate(call, replication, written, signal));
    const durable = positions ? await waitDurable(replication, positions, call.durability, signal) : false;
    // The lead was lost, and with it maybe what was written here last.
    if (durable === undefined || (!positions && replication.isOver))
      return call.idempotent ? { kind: 'again' } : { kind: 'unknown' };
    const texts = [...(positions ?? [])].map(([name, position]) => [name, formatPosition(position)] as const);
    const done = { kind: 'done', text, durable, positions: Object.fromEntries(texts) } as const;
    const isLate = (message: string) =>
      ({ ...done, error: { name: 'SkeinError', code: 'WAIT_TIMEOUT', message } }) as const;
    if (error) return { ...done, error };
    // A caller on another node would read behind what it wrote.
    if (!positions && (!isOwn || call.durability === 'replica'))
      return isLate(
        `${call.name} ran, but what it wrote cannot be sent to other nodes at the moment: \`skein status\` on the primary says why.`,
      );
    if (durable || call.durability !== 'replica') return done;
    return isLate(
      `${call.name} ran, but no other candidate has confirmed in time that it holds what it wrote.`,
    );
  }

  /** Tries on for as long as the answer may wait. */
  async #capturedLate(
    { durability }: PlacedCall,
    replication: Replication,
    { before }: Written,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Position> | undefined> {
    const untilMs = durability === 'replica' ? Number.POSITIVE_INFINITY : monotonicMs() + durableWithinMs;
    while (!signal.aborted && !replication.isOver && monotonicMs() < untilMs) {
      await sleep(captureAgainMs, signal);
      const positions = await this.#positionsSince(replication, before);
      if (positions) return positions;
    }
    return undefined;
  }

  /** Of the databases that have moved, by this run or by others meanwhile; undefined when that cannot be told of one. */
  async #positionsSince(
    replication: Replication,
    before: Before,
  ): Promise<ReadonlyMap<string, Position> | undefined> {
    const positions = new Map<string, Position>();
    try {
      if (!replication.isOver) await this.#parts.lookForNew(replication);
      if (replication.isOver) return positions;
      for (const { name } of replication.databases()) {
        const position = await replication.currentPosition(name);
        if (position.txid !== before.positions.get(name)?.txid) positions.set(name, position);
      }
      // A file that was made meanwhile, and cannot be opened yet.
      const unknown = [...replication.problems().keys()].filter((name) => !replication.position(name));
      return unknown.every((name) => before.problems.has(name)) ? positions : undefined;
    } catch (error) {
      if (error instanceof Error && error.name === 'AssertionFailure') throw error;
      // The capture has told of it.
      return undefined;
    }
  }

  async #processFor(
    call: PlacedCall,
    preferred: ProcessLink | undefined,
    signal: AbortSignal,
  ): Promise<ProcessLink | CallOutcome> {
    const patienceMs = monotonicMs() + servedWithinMs;
    for (;;) {
      if (!this.accepts(call) || signal.aborted) return { kind: 'again' };
      if (preferred?.served.has(call.name)) return preferred;
      const able = [...this.#processes].filter(({ served }) => served.has(call.name));
      this.#turn += 1;
      if (able.length > 0) return able[this.#turn % able.length];
      const leftMs = Math.min(patienceMs, call.deadlineMs) - monotonicMs();
      if (leftMs <= 0) {
        return refused(
          'CALL_NOT_SERVED',
          `No process on the primary has registered ${JSON.stringify(call.name)} with onPrimary. Register it in a process that runs there.`,
        );
      }
      await this.#change.next(signal, leftMs);
    }
  }

  #runIn(process: ProcessLink, call: PlacedCall): Promise<Ran | undefined> {
    const { promise, resolve } = Promise.withResolvers<Ran | undefined>();
    this.#lastId += 1;
    const id = this.#lastId;
    this.#runs.set(id, {
      process,
      end: (ran) => {
        this.#runs.delete(id);
        resolve(ran);
      },
    });
    if (!process.send({ t: 'run', id, name: call.name }, call.args)) this.#runs.get(id)?.end(undefined);
    return promise;
  }

  #noteChange(): void {
    this.#change.notify();
    this.#parts.changed();
  }
}

/** Undefined when this node's lead ended before another had it all. */
async function waitDurable(
  replication: Replication,
  positions: ReadonlyMap<string, Position>,
  durability: PlacedCall['durability'],
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const hasAll = () => [...positions].every(([name, position]) => replication.isDurable(name, position));
  const hasCandidate = () => replication.replicas().some((one) => one.connected && one.candidate);
  // An ended lead tells nothing of what was written in it, unless it was handed over with all that.
  if (hasAll()) return positions.size > 0 || !replication.isOver ? true : undefined;
  if (replication.isOver) return undefined;
  if (durability === 'local' || (durability === 'default' && !hasCandidate())) return false;
  const waiting = new AbortController();
  const end = () => waiting.abort();
  const timer = durability === 'default' ? setTimeout(end, durableWithinMs) : undefined;
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  await until(
    () => replication,
    () => hasAll() || replication.isOver,
    waiting.signal,
  );
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
  if (hasAll()) return true;
  return replication.isOver ? undefined : false;
}
