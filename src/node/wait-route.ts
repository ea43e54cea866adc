import { z } from 'zod';
import { SkeinError } from '../base/errors.ts';
import { formatPosition, type Position, parsePosition } from '../ltx/position.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import { databaseNotFound } from './database-not-found.ts';
import { readJson } from './json-body.ts';
import type { NewDatabases } from './new-databases.ts';
import type { Replication } from './replication.ts';

const example = '{"database": "app.db", "durability": "replica", "timeoutMs": 1000}';
const timeoutMsMax = 60_000;
const waitersMax = 10_000;

const waitRequest = z.strictObject({
  database: z.string().min(1).max(200).optional(),
  position: z.string().optional(),
  durability: z
    .union([z.literal('local'), z.literal('replica'), z.number().int().min(0).max(1_000)])
    .default('local'),
  timeoutMs: z.number().int().min(0).max(timeoutMsMax).default(5_000),
});

type WaitRequest = z.output<typeof waitRequest>;

/** What is waited for in one database. */
type Wanted = { readonly database: string; readonly position: Position };

/**
 * POST /wait: answers when a position is held by as many nodes as were asked for, or with 408. Without a database: when all that
 * is committed now is, in every one.
 */
export class WaitRoute {
  readonly #replication: () => Replication;
  readonly #newDatabases: Pick<NewDatabases, 'look'>;
  readonly #chainEpoch: () => number;
  #waiters = 0;

  constructor(
    replication: () => Replication,
    newDatabases: Pick<NewDatabases, 'look'>,
    chainEpoch: () => number,
  ) {
    this.#replication = replication;
    this.#newDatabases = newDatabases;
    this.#chainEpoch = chainEpoch;
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
      const given = givenPosition(wait);
      if (wait.database === undefined) {
        sendJson(response, 200, await this.#all(replication, wait, gone.signal));
        return;
      }
      const { database } = wait;
      const position = given ?? (await replication.currentPosition(database));
      const wanted = { database, position };
      await until(
        replication,
        wait,
        () => hasReached(replication, wait, wanted),
        `${database} is not at ${formatPosition(position)}`,
        gone.signal,
      );
      const nodes = replication.holders(database, position).map(({ node }) => node);
      const { role } = replication;
      // Read after the position, which is of this chain or of an earlier one then.
      const chainEpoch = this.#chainEpoch();
      sendJson(response, 200, { position: formatPosition(position), nodes, role, chainEpoch });
    } finally {
      this.#waiters -= 1;
    }
  }

  async #all(replication: Replication, wait: WaitRequest, gone: AbortSignal): Promise<object> {
    await this.#newDatabases.look(replication);
    const all: Wanted[] = [];
    for (const database of replication.positions().keys()) {
      try {
        all.push({ database, position: await replication.currentPosition(database) });
      } catch (error) {
        // It was deleted a moment ago.
        if (!(error instanceof SkeinError && error.code === 'DATABASE_NOT_FOUND')) throw error;
      }
    }
    const isThere = (wanted: Wanted) =>
      (!replication.isOver && replication.position(wanted.database) === undefined) ||
      hasReached(replication, wait, wanted);
    await until(replication, wait, () => all.every(isThere), 'What is committed is not held', gone);
    const holders = all.map(({ database, position }) =>
      replication.holders(database, position).map(({ node }) => node),
    );
    const [first = [], ...others] = holders;
    return {
      positions: Object.fromEntries(all.map((one) => [one.database, formatPosition(one.position)])),
      nodes: first.filter((node) => others.every((nodes) => nodes.includes(node))),
      role: replication.role,
      chainEpoch: this.#chainEpoch(),
    };
  }
}

/** Throws `POSITION_MISMATCH`, and what `isReached` does. */
function hasReached(replication: Replication, wait: WaitRequest, wanted: Wanted): boolean {
  const { database, position } = wanted;
  requireOnChain(replication, database, position);
  if (!isReached(replication, wait, wanted)) return false;
  // Again, now that it is: a node that was behind may have come to another state of the same TXID.
  requireOnChain(replication, database, position);
  return true;
}

/** Throws `WAIT_TIMEOUT`, and what `isTrue` does. */
async function until(
  replication: Replication,
  wait: WaitRequest,
  isTrue: () => boolean,
  what: string,
  gone: AbortSignal,
): Promise<void> {
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
        `${what} with durability ${wait.durability} after ${wait.timeoutMs} ms. It may be later; GET /status shows which replicas are behind.`,
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

function isReached(
  replication: Replication,
  { durability }: WaitRequest,
  { database, position }: Wanted,
): boolean {
  if (replication.isOver) {
    throw new SkeinError(
      'LEASE_LOST',
      'The role of this node has changed. Ask the primary of now, with the position that you had.',
    );
  }
  const local = replication.position(database);
  if (!local) throw databaseNotFound(database);
  if (local.txid < position.txid) return false;
  if (durability === 'local' || durability === 0) return true;
  if (replication.role !== 'primary') {
    throw new SkeinError(
      'NOT_PRIMARY',
      'Only the primary knows what other nodes hold. Ask it, or wait with durability "local".',
    );
  }
  if (durability === 'replica') return replication.isDurable(database, position);
  return replication.holders(database, position).length >= durability;
}

function givenPosition(wait: WaitRequest): Position | undefined {
  if (wait.position === undefined) return undefined;
  const position = parsePosition(wait.position);
  if (position && wait.database !== undefined) return position;
  if (position) throw new SkeinError('USAGE', 'database: a position is of one database. Say of which.');
  throw new SkeinError(
    'USAGE',
    `position: ${JSON.stringify(wait.position)} is not of the form <16 hex digits>/<16 hex digits>.`,
  );
}
