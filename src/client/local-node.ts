import { setTimeout as delay } from 'node:timers/promises';
import { SkeinClientError } from './client-error.ts';
import { DurableWaits } from './durable.ts';
import { FreshStatus } from './fresh-status.ts';
import { LocalPositions } from './local-positions.ts';
import { errorCodeOf, errorTextOf, NodeApi } from './node-api.ts';
import { type NodeEvent, nodeEvents } from './node-events.ts';
import { type NodePlace, nodePlaces, type StatusOfNodes } from './node-place.ts';
import type { Place } from './place.ts';
import { parseSession, type Session } from './position-text.ts';
import { Role } from './role.ts';

export type WaitOptions = {
  /** For a position of the form `TXID/checksum`, where the node has several databases. */
  readonly database?: string;
  /** 5,000 unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

export type PrimaryPlace = { readonly node: string; readonly region?: string; readonly url: string };

const positionPattern = /^[0-9a-f]{16}\/[0-9a-f]{16}$/;
/** A resync gives no event, so there is a look now and then. */
const pollMs = 15;
/** How often the node is asked whether it follows a later primary by now, while somebody waits for that. */
const askChainMs = 25;
const waitMs = 5_000;

/** The node that runs this process, as the rest of the library sees it. */
export class LocalNode {
  readonly place: Place;
  readonly api: NodeApi;
  readonly role: Role;
  readonly positions: LocalPositions;
  readonly durable: DurableWaits;
  readonly status: FreshStatus;

  constructor(place: Place) {
    this.place = place;
    this.api = new NodeApi(place);
    this.positions = new LocalPositions(place.directory);
    this.role = new Role(place, this.api, (event) => this.positions.heard(event));
    this.durable = new DurableWaits(this.api, this.positions);
    this.status = new FreshStatus(this.api, ({ chainEpoch }) =>
      // An older node does not tell: what it has is all there is to go by.
      this.positions.takeChainEpoch(chainEpoch ?? Number.POSITIVE_INFINITY),
    );
  }

  /** Undefined while a replica is not connected. Rejects with `NODE_UNREACHABLE`. */
  async primary(): Promise<PrimaryPlace | undefined> {
    const { primary } = await this.#placesNow();
    return primary === null ? undefined : (primary as PrimaryPlace);
  }

  /** This node and all others that it knows. Rejects with `NODE_UNREACHABLE`. */
  async nodes(): Promise<NodePlace[]> {
    return nodePlaces(await this.#placesNow());
  }

  async #placesNow(): Promise<StatusOfNodes> {
    const answer = await this.api.call('GET', '/status');
    if (answer.status !== 200) throw new SkeinClientError('NODE_UNREACHABLE', errorTextOf(answer));
    return answer.body as StatusOfNodes;
  }

  /** The position that holds all that is committed here now, `TXID/checksum`. Rejects with `DATABASE_NOT_FOUND`. */
  async position(database?: string): Promise<string> {
    const name = database ?? this.#onlyDatabase();
    const answer = await this.api.call('POST', '/wait', { body: { database: name } });
    const { position } = (answer.body ?? {}) as { position?: string };
    if (position !== undefined) return position;
    const code = errorCodeOf(answer) === 'DATABASE_NOT_FOUND' ? 'DATABASE_NOT_FOUND' : 'NODE_UNREACHABLE';
    throw new SkeinClientError(code, errorTextOf(answer));
  }

  /**
   * Resolves when this node has come so far: `TXID/checksum`, or the value of the cookie or header. Rejects with
   * `WAIT_TIMEOUT`, `POSITION_MISMATCH`, `POSITION_INVALID`, `DATABASE_NOT_FOUND`, or the signal's reason.
   */
  async waitFor(position: string, options: WaitOptions = {}): Promise<void> {
    const { timeoutMs = waitMs, signal } = options;
    signal?.throwIfAborted();
    if (positionPattern.test(position)) return this.#waitForExact(position, options);
    const session = parseSession(position, this.positions.names());
    if (session === undefined)
      throw new SkeinClientError(
        'POSITION_INVALID',
        `${JSON.stringify(position)} is not a position of this node's.`,
      );
    if (await this.reaches(session, timeoutMs, signal)) return;
    signal?.throwIfAborted();
    throw new SkeinClientError('WAIT_TIMEOUT', `This node is not at ${position} after ${timeoutMs} ms.`);
  }

  /** Whether this node came so far within the time, on the chain of the session's epoch or of a later one. */
  async reaches(wanted: Session, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    while (this.positions.chainEpoch < wanted.epoch) {
      await this.status.ask();
      if (this.positions.chainEpoch >= wanted.epoch) break;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0 || signal?.aborted) return false;
      await delay(Math.min(askChainMs, leftMs));
    }
    return this.#comesTo(wanted, Math.max(0, deadlineMs - performance.now()), signal);
  }

  #comesTo(wanted: Session, timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.positions.hasReached(wanted)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (answer: boolean) => {
        clearInterval(poll);
        clearTimeout(timer);
        stop();
        signal?.removeEventListener('abort', abort);
        resolve(answer);
      };
      const look = () => {
        if (this.positions.hasReached(wanted)) end(true);
      };
      const abort = () => end(false);
      const stop = this.role.onEvent(look);
      const poll = setInterval(look, pollMs);
      const timer = setTimeout(abort, timeoutMs);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  events(signal: AbortSignal): AsyncGenerator<NodeEvent, void, void> {
    return nodeEvents(this.api, signal);
  }

  async #waitForExact(
    position: string,
    { database, timeoutMs = waitMs, signal }: WaitOptions,
  ): Promise<void> {
    const body = { database: database ?? this.#onlyDatabase(), position, timeoutMs };
    const answer = await this.api.call('POST', '/wait', { body, timeoutMs: timeoutMs + 2_000, signal });
    if (answer.status === 200) return;
    const code = errorCodeOf(answer);
    const known = code === 'POSITION_MISMATCH' || code === 'DATABASE_NOT_FOUND';
    throw new SkeinClientError(known ? code : 'WAIT_TIMEOUT', errorTextOf(answer));
  }

  #onlyDatabase(): string {
    const [name, ...others] = this.positions.names();
    if (name === undefined)
      throw new SkeinClientError('DATABASE_NOT_FOUND', 'This node has no database yet.');
    if (others.length === 0) return name;
    throw new SkeinClientError('DATABASE_AMBIGUOUS', `Say which database: ${[name, ...others].join(', ')}.`);
  }
}
