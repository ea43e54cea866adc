import { monotonicMs } from '../base/clock.ts';
import { isDisabled } from '../base/failpoint.ts';
import type { Config } from '../config/config.ts';
import type { Position } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { waitForProgress } from './position-wait.ts';
import type { Review, RoutedRequest } from './route.ts';
import { formatSession, positionHeader, type Session, setCookieLine } from './session-position.ts';

/** With what an app says that a read has written, which the door cannot see. */
export const wroteHeader = 'skein-wrote';

/** What the client of a write is told: that it is as durable as it is to be, and the position that has it. */
export class WriteReceipts {
  readonly #node: DoorNode;
  readonly #http: Config['http'];
  readonly #figures: DoorFigures;

  constructor(node: DoorNode, http: Config['http'], figures: DoorFigures) {
    this.#node = node;
    this.#http = http;
    this.#figures = figures;
  }

  /** The positions before a request that may write: what differs afterwards has been written. */
  before(): ReadonlyMap<string, Position> {
    return this.#node.replication()?.positions() ?? new Map();
  }

  /** Waits as long as the write asks for. Never rejects. */
  async review(
    request: RoutedRequest,
    before: ReadonlyMap<string, Position>,
    known: Session,
    only: string | undefined,
  ): Promise<Review | undefined> {
    const replication = this.#node.replication();
    if (!replication) return undefined;
    const written = await writtenSince(replication, before);
    if (written.size === 0) return { drops: wroteField };
    const epoch = Math.max(known.epoch, this.#node.chainEpoch());
    const durability = await this.#settle(replication, written, request.signal);
    const position = new Map(known.position);
    for (const [name, { txid }] of written) {
      if (only !== undefined && name !== only) continue;
      // The newest last: they are kept when there are too many.
      position.delete(name);
      position.set(name, txid);
    }
    const lines = `skein-durability: ${durability}\r\n`;
    if (position.size === 0) return { drops: wroteField, lines };
    const value = formatSession({ epoch, position }, only);
    return {
      drops: positionFields,
      lines: `${lines}${positionHeader}: ${value}\r\n${setCookieLine(value, request.isSecure)}`,
    };
  }

  /** What the write has come to in time. */
  async #settle(
    replication: Replication,
    written: ReadonlyMap<string, Position>,
    signal: AbortSignal,
  ): Promise<string> {
    const wanted = this.#http.durability ?? (hasCandidate(replication) ? 'replica' : 'local');
    if (wanted === 'local' || isDisabled('durable-response')) return String(wanted);
    const isDurable = () =>
      [...written].every(([name, position]) => isHeld(replication, name, position, wanted));
    if (await waitForProgress(replication, isDurable, this.#http.durabilityWaitMs, signal))
      return String(wanted);
    this.#figures.undurable += 1;
    return 'local';
  }
}

const wroteField: ReadonlySet<string> = new Set([wroteHeader]);
const positionFields: ReadonlySet<string> = new Set([positionHeader, 'skein-durability', wroteHeader]);

function isHeld(
  replication: Replication,
  name: string,
  position: Position,
  wanted: 'replica' | number,
): boolean {
  if (wanted === 'replica') return replication.isDurable(name, position);
  return replication.holders(name, position).length >= wanted;
}

function hasCandidate(replication: Replication): boolean {
  return replication.replicas().some(({ connected, candidate }) => connected && candidate);
}

/** By database, the positions that hold all that is committed now, where that is more than before. */
async function writtenSince(
  replication: Replication,
  before: ReadonlyMap<string, Position>,
): Promise<ReadonlyMap<string, Position>> {
  const written = new Map<string, Position>();
  // The app's first database may not have been seen yet.
  if (replication.positions().size === 0) await replication.rescan().catch(() => undefined);
  for (const name of replication.positions().keys()) {
    const position = await replication.currentPosition(name).catch(() => undefined);
    if (position && position.txid !== (before.get(name)?.txid ?? 0)) written.set(name, position);
  }
  return written;
}

/** How many requests that write are at the app, and when there is none. */
export class WritesUnderWay {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  get count(): number {
    return this.#count;
  }

  begin(): () => void {
    this.#count += 1;
    return () => {
      this.#count -= 1;
      if (this.#count === 0) for (const wake of this.#waiting) wake();
    };
  }

  /** Resolves when there is none, or after `timeoutMs`. */
  async none(timeoutMs: number): Promise<void> {
    const untilMs = monotonicMs() + timeoutMs;
    while (this.#count > 0 && monotonicMs() < untilMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      const timer = setTimeout(resolve, untilMs - monotonicMs());
      await promise;
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }
}
