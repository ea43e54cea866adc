import { SkeinError } from '../base/errors.ts';
import { isDisabled } from '../base/failpoint.ts';
import type { Config } from '../config/config.ts';
import type { Position } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import type { DoorFigures } from './door-figures.ts';
import type { DoorNode } from './door-node.ts';
import { waitForProgress } from './position-wait.ts';
import { repeatable } from './repeatable.ts';
import type { Answer, Review, RoutedRequest } from './route.ts';
import {
  formatSession,
  parseSession,
  positionHeader,
  type Session,
  setCookieLine,
} from './session-position.ts';

/** In an app's response to a request that its door took for a read: what it wrote, as `skein-position` has it. */
export const wroteHeader = 'skein-wrote';

/** Under whose lead a request came to the app, and what there was then. */
export type Before = {
  readonly replication: Replication | undefined;
  readonly positions: ReadonlyMap<string, Position>;
};

/** What may be told of a write, by database; `isWhole` is false when something could not be captured. */
type Written = {
  readonly before: ReadonlyMap<string, Position>;
  readonly positions: ReadonlyMap<string, Position>;
  readonly isWhole: boolean;
};

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

  /** Of a request that may write: what differs afterwards has been written. */
  before(): Before {
    const replication = this.#node.replication();
    return { replication, positions: replication?.positions() ?? new Map() };
  }

  /** Waits as long as the write asks for. Never rejects. */
  async review(request: RoutedRequest, before: Before, known: Session): Promise<Review | undefined> {
    const replication = this.#leadOf(before.replication);
    if (!replication) return undefined;
    const written = await this.#writtenSince(replication, before.positions);
    if (replication.isOver && this.#hasWrittenNothing(request, before)) {
      // What its app had the next primary write, by a call, is here by now.
      const positions = this.#handedOn(before.positions);
      return positions.size === 0 ? undefined : this.#told(request, known, positions, '');
    }
    return this.#receipt(request, replication, written, known);
  }

  /** Whether that is certain, of a lead that is over: nothing of the request can be lost with it then. The app has answered by now. */
  #hasWrittenNothing({ head }: RoutedRequest, { replication, positions }: Before): boolean {
    // What may have been sent before, by another door perhaps, may have written then.
    if (repeatable.has(head.method)) return false;
    return replication?.hasStayedAt(positions) ?? false;
  }

  /** The same for a request that turned out to write: `text` is what the app's library says of it. */
  async reviewWrote(
    request: RoutedRequest,
    begun: Replication | undefined,
    text: string,
    known: Session,
  ): Promise<Review | undefined> {
    const replication = this.#leadOf(begun);
    if (!replication) return undefined;
    const said = parseSession(text, undefined).position;
    // Where it does not say which: all that is committed by now.
    const all = await this.#writtenSince(replication, new Map());
    const isNamed = said.size > 0 && [...said.keys()].every((name) => all.positions.has(name));
    const positions = new Map([...all.positions].filter(([name]) => !isNamed || said.has(name)));
    return this.#receipt(request, replication, { ...all, positions }, known);
  }

  /** The lead under which a request wrote; undefined where it could not. */
  #leadOf(begun: Replication | undefined): Replication | undefined {
    if (begun?.role === 'primary') return begun;
    const current = this.#node.replication();
    return current?.role === 'primary' ? current : undefined;
  }

  async #receipt(
    request: RoutedRequest,
    replication: Replication,
    written: Written,
    known: Session,
  ): Promise<Review | undefined> {
    if (written.positions.size === 0 && written.isWhole && !replication.isOver) return undefined;
    const durability = await this.#settle(replication, written, request.signal);
    // What was written under a lead that has ended may be kept nowhere but in `lost`.
    if (replication.isOver && !replication.hasHandedOver) return { answer: unknown };
    const positions = replication.isOver ? this.#handedOn(written.before) : written.positions;
    if (positions.size === 0 && written.isWhole) return undefined;
    return this.#told(request, known, positions, `skein-durability: ${durability}\r\n`);
  }

  #told(
    request: RoutedRequest,
    known: Session,
    positions: ReadonlyMap<string, Position>,
    lines: string,
  ): Review {
    const { database } = this.#http;
    const epoch = Math.max(known.epoch, this.#node.chainEpoch());
    const position = new Map(known.position);
    for (const [name, { txid }] of positions) {
      if (database !== undefined && name !== database) continue;
      // The newest last: they are kept when there are too many.
      position.delete(name);
      position.set(name, txid);
    }
    if (position.size === 0) return { drops: positionFields, lines };
    const value = formatSession({ epoch, position }, database);
    return {
      drops: positionFields,
      lines: `${lines}${positionHeader}: ${value}\r\n${setCookieLine(value, request.isSecure)}`,
    };
  }

  /** After a handoff, this node follows on the same chain: what it has by now holds what was written. */
  #handedOn(before: ReadonlyMap<string, Position>): ReadonlyMap<string, Position> {
    const now = [...(this.#node.replication()?.positions() ?? [])];
    return new Map(now.filter(([name, { txid }]) => txid !== before.get(name)?.txid));
  }

  /** What the write has come to in time. */
  async #settle(replication: Replication, written: Written, signal: AbortSignal): Promise<string> {
    const wanted = this.#http.durability ?? (hasCandidate(replication) ? 'replica' : 'local');
    if (replication.isOver) return 'replica';
    if (wanted === 'local' || isDisabled('durable-response')) return String(wanted);
    const isDurable = () =>
      [...written.positions].every(([name, position]) => isHeld(replication, name, position, wanted));
    // What could not be captured is held by nobody else, however long it is waited for.
    const isThere = written.isWhole
      ? await waitForProgress(replication, isDurable, this.#http.durabilityWaitMs, signal)
      : false;
    if (isThere) return String(wanted);
    this.#figures.undurable += 1;
    return 'local';
  }

  /** The positions that hold all that is committed now, where that is more than before. */
  async #writtenSince(replication: Replication, before: ReadonlyMap<string, Position>): Promise<Written> {
    const positions = new Map<string, Position>();
    let isWhole = true;
    // A database that the request has made is not seen yet.
    await this.#node.lookForNew(replication).catch(() => {
      isWhole = false;
    });
    for (const name of replication.positions().keys()) {
      try {
        const position = await replication.currentPosition(name);
        if (position.txid !== (before.get(name)?.txid ?? 0)) positions.set(name, position);
      } catch (error) {
        const isGone = error instanceof SkeinError && error.code === 'DATABASE_NOT_FOUND';
        if (!isGone) isWhole = false;
      }
    }
    return { before, positions, isWhole };
  }
}

const positionFields: ReadonlySet<string> = new Set([positionHeader, 'skein-durability']);

const unknown: Answer = {
  kind: 'answer',
  status: 503,
  lines: 'skein-durability: unknown\r\n',
  body: 'The lead ended before another node had what was written: nobody knows whether it is kept.\n',
};

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
