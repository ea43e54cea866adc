import { setTimeout as delay } from 'node:timers/promises';
import { SkeinClientError } from './client-error.ts';
import type { LocalPositions } from './local-positions.ts';
import { type ApiAnswer, errorCodeOf, errorTextOf, type NodeApi } from './node-api.ts';

/**
 * What has to hold a write: `local`, this node's log; `replica`, its standby too; a number, so many other nodes. `auto` is
 * `replica` while another candidate is connected, else `local`.
 */
export type DurabilityLevel = 'auto' | 'local' | 'replica' | number;

/** What came of it: by database its position, `TXID/checksum`, and whether the time ended before they were held as asked. */
export type Durable = {
  readonly positions: ReadonlyMap<string, string>;
  readonly level: DurabilityLevel;
  readonly isTimedOut: boolean;
};

type Options = {
  readonly timeoutMs: number;
  /** All databases unless given. */
  readonly names?: readonly string[];
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

  constructor(api: NodeApi, positions: LocalPositions) {
    this.#api = api;
    this.#positions = positions;
  }

  /**
   * Rejects with `NODE_UNREACHABLE`, and with `NO_PRIMARY` where the role changed and nobody can tell whether the primary of
   * now has it. A time-out does not reject.
   */
  async settle(level: DurabilityLevel, { timeoutMs, names, signal }: Options): Promise<Durable> {
    const deadlineMs = performance.now() + timeoutMs;
    const settled = await Promise.all(
      (names ?? this.#positions.names()).map((name) => this.#settleOne(name, level, deadlineMs, signal)),
    );
    const present = settled.filter((one) => one !== undefined);
    return {
      positions: new Map(present.map(({ name, position }) => [name, position])),
      level: level === 'auto' ? ((await this.#isAlone()) ? 'local' : 'replica') : level,
      isTimedOut: present.some(({ isHeld }) => !isHeld),
    };
  }

  async #settleOne(
    name: string,
    level: DurabilityLevel,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ name: string; position: string; isHeld: boolean } | undefined> {
    const captured = await this.#capture(name, deadlineMs, signal);
    if (captured === undefined) return undefined;
    const { position, role } = captured;
    // A replica tells the position of what it follows, which has what this process wrote if that was handed over.
    if (role === 'replica') {
      if (await this.#hasHandedOver(signal)) return { name, position, isHeld: true };
      throw unknownOutcome('This node does not lead any more.');
    }
    if (level === 'local' || level === 0) return { name, position, isHeld: true };
    while (!signal?.aborted) {
      if (level === 'auto' && (await this.#isAlone())) return { name, position, isHeld: true };
      const durability = level === 'auto' ? 'replica' : level;
      const answer = await this.#wait({ database: name, position, durability }, deadlineMs, signal);
      if (answer.status === 200) return { name, position, isHeld: true };
      const code = errorCodeOf(answer);
      if (code === 'LEASE_LOST' || code === 'NOT_PRIMARY' || code === 'POSITION_MISMATCH')
        return { name, position, isHeld: await this.#isOnNewChain(name, position, deadlineMs, signal) };
      if (performance.now() >= deadlineMs) return { name, position, isHeld: false };
      if (answer.status !== 408) await delay(retryMs, undefined, { ref: false });
    }
    throw signal.reason;
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
      // While the role changes no database is open.
      if (performance.now() >= deadlineMs) throw unknownOutcome(errorTextOf(answer));
      await delay(retryMs, undefined, { ref: false });
    }
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

function unknownOutcome(reason: string): SkeinClientError {
  return new SkeinClientError(
    'NO_PRIMARY',
    `The write was committed here, but it is not known whether the primary has it. ${reason}`,
  );
}
