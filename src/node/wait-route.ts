import { z } from 'zod';
import { SkeinError } from '../base/errors.ts';
import { formatPosition, type Position, parsePosition } from '../ltx/position.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import { databaseNotFound } from './database-not-found.ts';
import { readJson } from './json-body.ts';
import type { Replication } from './replication.ts';

const example = '{"database": "app.db", "durability": "replica", "timeoutMs": 1000}';
const timeoutMsMax = 60_000;
const waitersMax = 10_000;

const waitRequest = z.strictObject({
  database: z.string().min(1).max(200),
  position: z.string().optional(),
  durability: z
    .union([z.literal('local'), z.literal('replica'), z.number().int().min(0).max(1_000)])
    .default('local'),
  timeoutMs: z.number().int().min(0).max(timeoutMsMax).default(5_000),
});

type WaitRequest = z.output<typeof waitRequest>;

/** POST /wait: answers when a position is held by as many nodes as were asked for, or with 408. */
export class WaitRoute {
  readonly #replication: () => Replication;
  #waiters = 0;

  constructor(replication: () => Replication) {
    this.#replication = replication;
  }

  async answer({ request, response }: ApiRequest): Promise<void> {
    const wait = await readJson(request, waitRequest, example);
    if (this.#waiters >= waitersMax)
      throw new SkeinError('WAIT_TIMEOUT', 'Too many requests wait on this node already.');
    this.#waiters += 1;
    try {
      const replication = this.#replication();
      const gone = new AbortController();
      // Not for an answer that went out: to abort costs more than the wait.
      response.on('close', () => response.writableEnded || gone.abort());
      const position = givenPosition(wait) ?? (await replication.currentPosition(wait.database));
      await until(replication, wait, position, gone.signal);
      const nodes = replication.holders(wait.database, position).map(({ node }) => node);
      sendJson(response, 200, { position: formatPosition(position), nodes, role: replication.role });
    } finally {
      this.#waiters -= 1;
    }
  }
}

/** Throws `POSITION_MISMATCH`, and what `isReached` does. */
async function until(
  replication: Replication,
  wait: WaitRequest,
  position: Position,
  gone: AbortSignal,
): Promise<void> {
  requireOnChain(replication, wait.database, position);
  const isTrue = () => {
    if (!isReached(replication, wait, position)) return false;
    // Again, now that it is: a node that was behind may have come to another state of the same TXID.
    requireOnChain(replication, wait.database, position);
    return true;
  };
  if (gone.aborted || isTrue()) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const check = () => {
    try {
      if (isTrue()) resolve();
    } catch (error) {
      // The database went meanwhile, or the role changed.
      reject(error);
    }
  };
  const stopListening = replication.onProgress(check);
  const timeOut = () =>
    reject(
      new SkeinError(
        'WAIT_TIMEOUT',
        `${wait.database} is not at ${formatPosition(position)} with durability ${wait.durability} after ${wait.timeoutMs} ms. It may be later; GET /status shows which replicas are behind.`,
      ),
    );
  const timer = setTimeout(timeOut, wait.timeoutMs);
  gone.addEventListener('abort', timeOut, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    stopListening();
    gone.removeEventListener('abort', timeOut);
  });
}

/** Throws `POSITION_MISMATCH`. */
function requireOnChain(replication: Replication, database: string, position: Position): void {
  if (!replication.contradicts(database, position)) return;
  throw new SkeinError(
    'POSITION_MISMATCH',
    `${database} has no position ${formatPosition(position)}: it was never reached, was given up, or is older than this node's log. Ask without one.`,
  );
}

function isReached(replication: Replication, wait: WaitRequest, position: Position): boolean {
  if (replication.isOver) {
    throw new SkeinError(
      'LEASE_LOST',
      'The role of this node has changed. Ask the primary of now, with the position that you had.',
    );
  }
  const local = replication.position(wait.database);
  if (!local) throw databaseNotFound(wait.database);
  if (local.txid < position.txid) return false;
  if (wait.durability === 'local' || wait.durability === 0) return true;
  if (replication.role !== 'primary') {
    throw new SkeinError(
      'NOT_PRIMARY',
      'Only the primary knows what other nodes hold. Ask it, or wait with durability "local".',
    );
  }
  if (wait.durability === 'replica') return replication.isDurable(wait.database, position);
  return replication.holders(wait.database, position).length >= wait.durability;
}

function givenPosition(wait: WaitRequest): Position | undefined {
  if (wait.position === undefined) return undefined;
  const position = parsePosition(wait.position);
  if (position) return position;
  throw new SkeinError(
    'USAGE',
    `position: ${JSON.stringify(wait.position)} is not of the form <16 hex digits>/<16 hex digits>.`,
  );
}
