import { setTimeout as delay } from 'node:timers/promises';
import type { ChangedDatabases } from './changed-databases.ts';
import { SkeinClientError } from './client-error.ts';
import type { LocalPositions } from './local-positions.ts';
import { type ApiAnswer, errorCodeOf, errorTextOf, type NodeApi } from './node-api.ts';

/**
 * What has to hold a write: `local`, this node's log; `replica`, its standby too; a number, so many other nodes. `auto` is
 * `replica` while another candidate is connected, else `local`.
 */
export type DurabilityLevel = 'auto' | 'local' | 'replica' | number;

/** What came of it, and whether the time ended before that was held as asked. */
export type Durable = {
  /** Of all databases the position, `TXID/checksum`, by name. */
  readonly positions: ReadonlyMap<string, string>;
  /** The number of transactions of those that were waited for. */
  readonly written: ReadonlyMap<string, number>;
  /** Of the chain that they are on; 0 where the node does not tell. */
  readonly epoch: number;
  readonly level: DurabilityLevel;
  readonly isTimedOut: boolean;
};

type Captured = {
  readonly positions: ReadonlyMap<string, string>;
  readonly role: string;
  readonly epoch: number;
};

type Options = {
  readonly timeoutMs: number;
  /** All databases are waited for unless given. */
  readonly changed?: ChangedDatabases;
  readonly signal?: AbortSignal | undefined;
};

/** One question to the node is at most so long: the standby that is waited for may be gone by then. */
const sliceMs = 1_000;
const retryMs = 25;
const candidatesKeptMs = 1_000;

/** Waits until what is committed on this node, the primary, is held by as many as are asked for. */
export class DurableWaits {
  readonly #api: NodeApi;
  readonly #positions: LocalPositions;
  #hasCandidate: Promise<boolean> | undefined;
  #candidateAskedMs = Number.NEGATIVE_INFINITY;
  #canAskForAll = true;

  constructor(api: NodeApi, positions: LocalPositions) {
    this.#api = api;
    this.#positions = positions;
  }

  /**
   * Rejects with `NODE_UNREACHABLE`, and with `NO_PRIMARY` where the role changed and nobody can tell whether the primary of
   * now has it. A time-out does not reject.
   */
  async settle(level: DurabilityLevel, { timeoutMs, changed, signal }: Options): Promise<Durable> {
    const deadlineMs = performance.now() + timeoutMs;
    const { positions, role, epoch } = await this.#captureAll(changed, deadlineMs, signal);
    // A replica tells the position of what it follows, which has what this process wrote if that was handed over.
    const isHandedOver = role === 'replica' && positions.size > 0 && (await this.#hasHandedOver(signal));
    if (role === 'replica' && positions.size > 0 && !isHandedOver)
      throw unknownOutcome('This node does not lead any more.');
    const written = changed ? changed.since(positions) : txidsOf(positions);
    const isHeld = await Promise.all(
      [...written.keys()].map((name) => {
        const position = positions.get(name) ?? '';
        return isHandedOver || this.#isHeld(name, position, level, deadlineMs, signal);
      }),
    );
    return {
      positions,
      written,
      epoch,
      level: level === 'auto' ? ((await this.#isAlone()) ? 'local' : 'replica') : level,
      isTimedOut: isHeld.includes(false),
    };
  }

  async #isHeld(
    name: string,
    position: string,
    level: DurabilityLevel,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (level === 'local' || level === 0) return true;
    while (!signal?.aborted) {
      if (level === 'auto' && (await this.#isAlone())) return true;
      const durability = level === 'auto' ? 'replica' : level;
      const answer = await this.#wait({ database: name, position, durability }, deadlineMs, signal);
      if (answer.status === 200) return true;
      const code = errorCodeOf(answer);
      if (code === 'LEASE_LOST' || code === 'NOT_PRIMARY' || code === 'POSITION_MISMATCH')
        return this.#isOnNewChain(name, position, deadlineMs, signal);
      if (performance.now() >= deadlineMs) return false;
      if (answer.status !== 408) await delay(retryMs, undefined, { ref: false });
    }
    throw signal.reason;
  }

  /** Of all databases, also of one that was just made: only the node knows of that. */
  async #captureAll(
    changed: ChangedDatabases | undefined,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Captured> {
    while (this.#canAskForAll) {
      const answer = await this.#wait({}, deadlineMs, signal);
      const { positions, role = 'primary', chainEpoch = 0 } = (answer.body ?? {}) as AllPositions;
      if (answer.status === 200 && positions) {
        this.#positions.takeNames(Object.keys(positions));
        this.#positions.takeChainEpoch(chainEpoch);
        return { positions: new Map(Object.entries(positions)), role, epoch: chainEpoch };
      }
      // An older node asks for a name.
      if (answer.status === 200 || answer.status === 400) this.#canAskForAll = false;
      else await this.#pause(answer, deadlineMs);
    }
    const names = changed?.candidates() ?? this.#positions.names();
    const each = await Promise.all(
      names.map(async (name) => ({ name, captured: await this.#capture(name, deadlineMs, signal) })),
    );
    const positions = new Map<string, string>();
    for (const { name, captured } of each) if (captured) positions.set(name, captured.position);
    const isReplica = each.some(({ captured }) => captured?.role === 'replica');
    return { positions, role: isReplica ? 'replica' : 'primary', epoch: 0 };
  }

  /** The position of all that is committed; undefined for a database that is not there. */
  async #capture(
    database: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ position: string; role: string } | undefined> {
    for (;;) {
      const answer = await this.#wait({ database }, deadlineMs, signal);
      const { position, role = 'primary' } = (answer.body ?? {}) as { position?: string; role?: string };
      if (answer.status === 200 && position !== undefined) return { position, role };
      const isAbsent = errorCodeOf(answer) === 'DATABASE_NOT_FOUND';
      if (isAbsent && this.#positions.text(database) === undefined) return undefined;
      await this.#pause(answer, deadlineMs);
    }
  }

  /** While the role changes no database is open. */
  async #pause(answer: ApiAnswer, deadlineMs: number): Promise<void> {
    if (performance.now() >= deadlineMs) throw unknownOutcome(errorTextOf(answer));
    await delay(retryMs, undefined, { ref: false });
  }

  async #hasHandedOver(signal: AbortSignal | undefined): Promise<boolean> {
    const { body } = await this.#api.call('GET', '/status', { signal });
    return (body as StatusAnswer).handedOver === true;
  }

  #wait(body: object, deadlineMs: number, signal: AbortSignal | undefined): Promise<ApiAnswer> {
    const leftMs = Math.max(1, deadlineMs - performance.now());
    const timeoutMs = Math.ceil(Math.min(leftMs, sliceMs));
    return this.#api.call('POST', '/wait', {
      body: { ...body, timeoutMs },
      timeoutMs: timeoutMs + 2_000,
      signal,
    });
  }

  /**
   * After a change of the lead: once this node follows the new primary in step, a position that it still has is one that the
   * primary has too.
   */
  async #isOnNewChain(
    database: string,
    position: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    while (performance.now() < deadlineMs && !signal?.aborted) {
      const { body } = await this.#api.call('GET', '/status', { signal });
      const status = body as StatusAnswer;
      const isInStep = status.primary && (status.databases?.[database]?.lagMs ?? null) !== null;
      if (isInStep) {
        const answer = await this.#wait({ database, position }, deadlineMs, signal);
        if (answer.status === 200) return true;
        throw unknownOutcome(errorTextOf(answer));
      }
      await delay(retryMs, undefined, { ref: false });
    }
    throw unknownOutcome('The lead has changed, and this node is not in step with its new primary.');
  }

  async #isAlone(): Promise<boolean> {
    const nowMs = performance.now();
    if (nowMs - this.#candidateAskedMs > candidatesKeptMs) {
      this.#candidateAskedMs = nowMs;
      this.#hasCandidate = this.#askCandidate();
    }
    return !(await this.#hasCandidate);
  }

  async #askCandidate(): Promise<boolean> {
    try {
      const { body } = await this.#api.call('GET', '/status');
      const { replicas = [] } = body as StatusAnswer;
      return replicas.some(({ candidate, connected }) => candidate && connected);
    } catch {
      // Whoever asked finds that the node is gone by the next question.
      return true;
    }
  }
}

type StatusAnswer = {
  readonly handedOver?: boolean;
  readonly primary?: { readonly node: string; readonly url: string; readonly region?: string } | null;
  readonly databases?: Readonly<Record<string, { readonly lagMs: number | null }>>;
  readonly replicas?: readonly { readonly candidate: boolean; readonly connected: boolean }[];
};

type AllPositions = {
  readonly positions?: Readonly<Record<string, string>>;
  readonly role?: string;
  readonly chainEpoch?: number;
};

function txidsOf(positions: ReadonlyMap<string, string>): Map<string, number> {
  return new Map([...positions].map(([name, text]) => [name, Number.parseInt(text, 16)]));
}

function unknownOutcome(reason: string): SkeinClientError {
  return new SkeinClientError(
    'NO_PRIMARY',
    `If anything was written here, it is not known whether the primary has it. Look at the data there. ${reason}`,
  );
}
