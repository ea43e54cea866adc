import { randomInt } from 'node:crypto';
import { Readable } from 'node:stream';
import { monotonicMs } from '../base/clock.ts';
import { type ErrorCode, exitCodes, messageOf, SkeinError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { formatDuration } from '../config/duration.ts';
import type { CapturedBatch } from '../database/capture.ts';
import type { LentDatabase } from '../database/lent-database.ts';
import { formatPosition, type Position, parsePosition, positionsEqual } from '../ltx/position.ts';
import { readRecord } from '../stream/database-feed.ts';
import { lendMaxMs } from './halt-locks.ts';
import type { Notice } from './node-log.ts';
import type { ReplicaReplication } from './replica-replication.ts';

const requestTimeoutMs = 15_000;
const defaultRenewMs = 10_000;
const reachTimeoutMs = 10_000;
const takeBackMs = 1_000;
/** A program that writes on for so long after its time has the primary's patience no more. */
const patienceMs = 30_000;
/** The same where this node stops; longer than it takes one that is to lead to give that up. */
const closingPatienceMs = 10_000;

export type HaltSessionParts = {
  readonly replication: ReplicaReplication;
  readonly name: string;
  readonly primary: { readonly url: string };
  readonly secret: string | undefined;
  /** This node, as LiteFS names it. */
  readonly liteFsId: string;
  readonly warn: Notice;
  /** A third of what the primary waits for a word. */
  readonly renewMs?: number;
};

/** Who asked for the lock. */
export type HaltHolder = { held(position: Position): void; recalled(): void };

/**
 * One halt lock from the side of a replica: the primary stops its writers, programs here write, and what they wrote is captured
 * and sent to the primary. Whatever breaks off in between leaves this node with transactions that the primary does not have: a
 * diverged replica, whose state is kept in `.skein/lost` when the primary's takes its place.
 */
export class HaltSession {
  readonly #parts: HaltSessionParts;
  readonly #id = String(randomInt(1, 2 ** 47));
  readonly #lost = new AbortController();

  constructor(parts: HaltSessionParts) {
    this.#parts = parts;
  }

  /**
   * Calls `held` once programs here may write, until `over` aborts, and `recalled` when they have to end before that. Resolves to the position that the primary has then. Rejects
   * with `DATABASE_BUSY`, `PRIMARY_UNREACHABLE`, `LEASE_LOST`, and with what the primary refused with.
   */
  async run(over: AbortSignal, holder: HaltHolder): Promise<Position> {
    let renewal: NodeJS.Timeout | undefined;
    try {
      const position = await this.#halt();
      const { renewMs = defaultRenewMs } = this.#parts;
      renewal = setInterval(() => void this.#renew(position), renewMs);
      await this.#reach(position);
      const batch = await this.#lend(position, over, holder, () => clearInterval(renewal));
      if (batch === 'nothing') return position;
      failpoint('halt:captured');
      this.#parts.replication.wrote(this.#parts.name);
      return await this.#send(batch);
    } finally {
      clearInterval(renewal);
      // Also of a lock of which no answer came.
      await this.#ask('DELETE', '/halt', { id: this.#id }).catch(() => undefined);
    }
  }

  async #halt(): Promise<Position> {
    const answer = (await this.#ask('POST', '/halt', { id: this.#id })) as {
      pos?: { TXID?: string; PostApplyChecksum?: string };
    };
    const position = parsePosition(`${answer.pos?.TXID}/${answer.pos?.PostApplyChecksum}`);
    if (position) return position;
    throw new SkeinError('PROTOCOL_INVALID', 'The primary answered POST /halt in a form that is not known.');
  }

  async #renew(from: Position): Promise<void> {
    try {
      const position = await this.#halt();
      if (positionsEqual(position, from)) return;
      // A primary that has started again knows of no lock, and gives another.
      const where = `the primary is at ${formatPosition(position)} by now`;
      throw new SkeinError('LEASE_LOST', `The lock was over, and ${where}.`);
    } catch (error) {
      this.#parts.warn('the halt lock could not be renewed', {
        database: this.#parts.name,
        reason: messageOf(error),
      });
      // A primary that does not answer at this moment may have it still.
      if (!(error instanceof SkeinError && error.code === 'PRIMARY_UNREACHABLE')) this.#lost.abort();
    }
  }

  /** Waits until this node has all that the primary had when it halted. */
  async #reach(position: Position): Promise<void> {
    const { replication, name } = this.#parts;
    const isThere = () => {
      const here = replication.position(name);
      return here !== undefined && positionsEqual(here, position);
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const stopListening = replication.onProgress(() => {
      if (isThere() || replication.isOver) resolve();
    });
    const timer = setTimeout(resolve, reachTimeoutMs);
    if (!isThere()) await promise;
    clearTimeout(timer);
    stopListening();
    if (isThere()) return;
    const what = `This node did not come to ${formatPosition(position)} of ${name}`;
    throw new SkeinError('DATABASE_BUSY', `${what}, where the primary halts. Try again when it is in step.`);
  }

  async #lend(
    position: Position,
    over: AbortSignal,
    holder: HaltHolder,
    outOfPatience: () => void,
  ): Promise<CapturedBatch | 'nothing'> {
    const { replication, name } = this.#parts;
    const lent = await replication.replica(name).lend(position);
    holder.held(position);
    const tooLong = AbortSignal.timeout(lendMaxMs);
    await aborted(AbortSignal.any([over, this.#lost.signal, lent.recalled, tooLong]));
    if (tooLong.aborted)
      this.#parts.warn(
        `a halt lock was held for ${formatDuration(lendMaxMs)}, the longest there is: programs have to end now`,
        { database: name },
      );
    if (!over.aborted) holder.recalled();
    return this.#takeBack(lent, outOfPatience);
  }

  async #takeBack(lent: LentDatabase, outOfPatience: () => void): Promise<CapturedBatch | 'nothing'> {
    const { name, warn } = this.#parts;
    const startedMs = monotonicMs();
    let isSaid = false;
    for (;;) {
      const batch = await lent.takeBack(takeBackMs);
      if (batch !== 'busy') return batch;
      const waitedMs = monotonicMs() - startedMs;
      if (!isSaid) warn('a program writes on although its halt lock is over', { database: name });
      isSaid = true;
      if (waitedMs > patienceMs) outOfPatience();
      if (!lent.isClosing() || waitedMs < closingPatienceMs) continue;
      lent.abandon();
      throw new SkeinError(
        'DATABASE_BUSY',
        `A program did not let go of ${name} when this node had to have it.`,
      );
    }
  }

  async #send(batch: CapturedBatch): Promise<Position> {
    const { replication, name } = this.#parts;
    try {
      if (this.#lost.signal.aborted)
        throw new SkeinError(
          'LEASE_LOST',
          `The halt lock of ${name} was lost before its transaction was sent.`,
        );
      const chunks = batch.bytes ? [batch.bytes] : copies(readRecord(batch));
      await this.#ask('POST', '/tx', { lockID: this.#id }, Readable.from(chunks));
    } catch (error) {
      // Whether the primary has it shows when the two compare.
      replication.distrust(name);
      const code = error instanceof SkeinError ? error.code : 'PRIMARY_UNREACHABLE';
      const what = `The primary did not confirm what was written into ${name}: ${messageOf(error)}`;
      throw new SkeinError(
        code,
        `${what} If it does not have it, \`skein lost list\` on this node shows it.`,
      );
    }
    const position = replication.position(name);
    if (position) return position;
    throw new SkeinError('DATABASE_NOT_FOUND', `${name} is not here any more.`);
  }

  async #ask(
    method: 'POST' | 'DELETE',
    path: string,
    query: Readonly<Record<string, string>>,
    body?: Readable,
  ): Promise<unknown> {
    const { primary, name, secret, liteFsId } = this.#parts;
    const url = new URL(path, primary.url);
    for (const [key, value] of Object.entries({ name, ...query })) url.searchParams.set(key, value);
    const headers = {
      'Litefs-Id': liteFsId,
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
    };
    // A large transaction takes its time; a primary that is gone ends the connection.
    const timeout = body ? {} : { signal: AbortSignal.timeout(requestTimeoutMs) };
    const request = { method, headers, ...timeout, ...(body ? { body, duplex: 'half' } : {}) };
    const answer = await fetch(url, request as RequestInit).catch((cause: unknown) => {
      const what = `The primary at ${primary.url} does not answer ${path}`;
      throw new SkeinError('PRIMARY_UNREACHABLE', `${what}.`, { cause });
    });
    const text = await answer.text();
    const json: unknown = text === '' ? {} : JSON.parse(text);
    if (answer.ok) return json;
    const { code = '', message = `HTTP status ${answer.status}` } =
      (json as { error?: { code?: string; message?: string } }).error ?? {};
    throw new SkeinError(isErrorCode(code) ? code : 'PROTOCOL_INVALID', message);
  }
}

function* copies(chunks: Iterable<Uint8Array>): Generator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(exitCodes, code);
}
