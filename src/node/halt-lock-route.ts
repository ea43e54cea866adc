import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { Config } from '../config/config.ts';
import { formatPosition, type Position } from '../ltx/position.ts';
import type { ApiRequest } from './api-server.ts';
import { type HaltHolder, HaltSession } from './halt-session.ts';
import { liteFsIdOf } from './litefs-identity.ts';
import type { Notice } from './node-log.ts';
import type { PrimaryReplication } from './primary-replication.ts';
import type { ReplicaReplication } from './replica-replication.ts';

/** How long a stop waits for programs to let go. */
const settleTimeoutMs = 5_000;

export type HaltLockParts = {
  readonly config: Config;
  readonly replication: () => PrimaryReplication | ReplicaReplication;
  readonly warn: Notice;
};

/**
 * POST /halt-lock?name=: programs beside this node may write the database for as long as the request's body goes on. Answers
 * with a line of JSON when they may, with one more when they have to end before, and with another when the primary has what they wrote, or an error.
 */
export class HaltLockRoute {
  readonly #parts: HaltLockParts;
  readonly #held = new Map<string, Promise<unknown>>();

  constructor(parts: HaltLockParts) {
    this.#parts = parts;
  }

  async answer({ request, response, query }: ApiRequest): Promise<void> {
    const name = query.get('name');
    if (!name) throw new SkeinError('USAGE', 'name required: POST /halt-lock?name=app.db');
    if (this.#held.has(name))
      throw new SkeinError('DATABASE_BUSY', `A halt lock of ${name} is held on this node already.`);
    const over = new AbortController();
    const end = () => over.abort();
    request.once('end', end).resume();
    response.once('close', end);
    const tell = (line: object) => {
      if (!response.headersSent)
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      if (response.writable) response.write(`${JSON.stringify(line)}\n`);
    };
    const holder = {
      held: (position: Position) => tell({ held: true, position: formatPosition(position) }),
      recalled: () => tell({ recalled: true }),
    };
    const holding = this.#hold(name, over.signal, holder);
    this.#held.set(name, holding);
    try {
      const position = await holding;
      tell({ held: false, position: formatPosition(position) });
    } catch (error) {
      if (!response.headersSent || !(error instanceof SkeinError)) throw error;
      this.#parts.warn('a halt lock ended badly', { database: name, reason: messageOf(error) });
      tell({ error: { code: error.code, message: error.message } });
    } finally {
      this.#held.delete(name);
    }
    response.end();
  }

  /** Resolves when no lock is held any more, or soon. Connections have ended by then. */
  async settled(): Promise<void> {
    const all = Promise.allSettled(this.#held.values());
    if (this.#held.size > 0) await Promise.race([all, sleep(settleTimeoutMs)]);
  }

  async #hold(name: string, over: AbortSignal, holder: HaltHolder): Promise<Position> {
    const { config, warn } = this.#parts;
    const replication = this.#parts.replication();
    if (replication.role === 'primary') {
      holder.held(await replication.currentPosition(name));
      if (!over.aborted)
        await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
      return this.#parts.replication().currentPosition(name);
    }
    // Throws when there is no such database.
    await replication.currentPosition(name);
    const primary = replication.primary();
    if (primary === undefined)
      throw new SkeinError('PRIMARY_UNREACHABLE', 'This node has no primary at the moment. Try again later.');
    const { secret, name: node } = config.node;
    const liteFsId = liteFsIdOf(config.app, node);
    const session = new HaltSession({ replication, name, primary, secret, liteFsId, warn });
    return session.run(over, holder);
  }
}
