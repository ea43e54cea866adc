import { Backoff } from '../base/backoff.ts';
import { monotonicMs } from '../base/clock.ts';
import { type ErrorCode, messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import type { ReplicaSet } from '../database/replica-set.ts';
import { PrimaryLink, type PrimaryLinkHandlers } from './primary-link.ts';

const retryFirstMs = 100;
const retryMaxMs = 3_000;
/** A link that stood this long was a good one: the next is tried at once. */
const lastingMs = 5_000;

export type StreamClientHandlers = PrimaryLinkHandlers & {
  /** The primary does not want this node; a person has to change something. */
  refused(error: SkeinError): void;
  notice(message: string, fields: Record<string, unknown>): void;
};

/** The codes with which a primary refuses for good. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SECRET_WRONG',
  'APP_MISMATCH',
  'PROTOCOL_MISMATCH',
]);

/** A replica's end of the stream: stays connected to the primary, applies what it sends, acknowledges. */
export class StreamClient {
  readonly #url: string;
  readonly #secret: string | undefined;
  readonly #set: ReplicaSet;
  readonly #handlers: StreamClientHandlers;
  readonly #abort = new AbortController();
  readonly #backoff = new Backoff(retryFirstMs, retryMaxMs);
  readonly #distrusted: Set<string>;
  #lastProblem = '';
  #link: PrimaryLink | undefined;

  /**
   * `url` is the primary's API, like `http://10.0.0.1:20202`. `distrusted` are databases whose copies proved wrong since they
   * were last compared; the client adds and removes names.
   */
  constructor(
    url: string,
    secret: string | undefined,
    set: ReplicaSet,
    distrusted: Set<string>,
    handlers: StreamClientHandlers,
  ) {
    this.#distrusted = distrusted;
    this.#url = url;
    this.#secret = secret;
    this.#set = set;
    this.#handlers = handlers;
  }

  /** Connects, and again whenever the link ends, until `stop`. Never rejects. */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      const startedMs = monotonicMs();
      try {
        const link = new PrimaryLink(this.#url, this.#secret, this.#set, this.#handlers, this.#distrusted);
        this.#link = link;
        await link.run(this.#abort.signal);
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        this.#report(error);
      }
      // A link that fails as soon as it stands is no reason to hurry.
      if (monotonicMs() - startedMs > lastingMs) {
        this.#backoff.reset();
        this.#lastProblem = '';
      }
      await sleep(this.#backoff.nextMs(), this.#abort.signal);
    }
  }

  /** Has a database compared with the primary's, whatever its position says. */
  resync(name: string): void {
    this.#distrusted.add(name);
    this.#link?.close();
  }

  stop(): void {
    this.#abort.abort();
  }

  /** Stops, and does not wait for the primary to hear of it. */
  abandon(): void {
    this.#abort.abort();
    this.#link?.abandon();
  }

  #report(error: unknown): void {
    const problem = messageOf(error);
    if (problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    if (error instanceof SkeinError && refusals.has(error.code)) {
      this.#handlers.refused(error);
      return;
    }
    this.#handlers.notice('no link to the primary; reads go on, and it is tried again', {
      primary: this.#url,
      reason: problem,
    });
  }
}
