import type { IncomingMessage, ServerResponse } from 'node:http';
import { Answer } from './answer.ts';
import { ChangedDatabases } from './changed-databases.ts';
import { messageOf } from './client-error.ts';
import type { Durable } from './durable.ts';
import type { Forward } from './forward.ts';
import { type HeaderPair, HeldResponse, type Verdict } from './held-response.ts';
import { KeptBody } from './kept-body.ts';
import type { LocalNode } from './local-node.ts';
import type { Settings } from './middleware-options.ts';
import { databasesMax, formatSession, formatTxids, headerName, sessionOf } from './position-text.ts';
import { inRequestScope, type RequestScope } from './request-scope.ts';
import { sessionCookie } from './session-cookie.ts';

/** What has the write: the level that was asked for, `local` when that took too long, `unknown` after a change of the lead. */
const durabilityHeader = 'skein-durability';

/** Tells the door of what a request that it took for a read has written: the door does the rest, and takes it away. */
const wroteHeader = 'skein-wrote';
/** More than a text can name: the door holds all that there is. */
const wroteAll = '*';

type Parts = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly next: () => void;
  readonly node: LocalNode;
  readonly forward: Forward;
  readonly settings: Settings;
  /** GET, HEAD or OPTIONS. */
  readonly isRead: boolean;
};

/** One request and its answer. Until something is written, or refused, it costs an object. */
export class Exchange implements RequestScope {
  readonly #parts: Parts;
  readonly #beganMs = Date.now();
  /** The node's door forwards, holds and sets the cookie; only what it cannot see is told to it. */
  isByDoor = false;
  #held: HeldResponse | undefined;
  #changed: ChangedDatabases | undefined;
  #body: KeptBody | undefined;
  #isRefused = false;
  #isRefusedBeside = false;
  #hasWritten = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The app answers, here. */
  run(): void {
    inRequestScope(this, this.#parts.next);
  }

  /** The app answers where the primary is; `here` is called where that is this node once nobody else was found. */
  onPrimary(here: () => void = () => this.#runOnPrimary()): void {
    const { node, request, response, forward, settings } = this.#parts;
    if (node.role.isPrimary) {
      this.#runOnPrimary();
    } else if (request.readableDidRead || request.readableEnded) {
      const text = 'The body was read before Skein could send it to the primary. Put its middleware first.';
      new Answer(response).refuse(500, 'Internal Server Error', text);
    } else if (settings.forward === 'fly-replay') {
      void this.#answerReplay();
    } else {
      void forward.send({ request, response, here });
    }
  }

  #runOnPrimary(): void {
    const { node, request, isRead, settings } = this.#parts;
    this.#changed = new ChangedDatabases(node.place.directory, node.positions);
    if (!isRead) this.#body = new KeptBody(request, settings.replayBytesMax);
    this.#hold();
    this.run();
  }

  refused(): boolean {
    if (this.#parts.response.headersSent) return false;
    this.#isRefused = true;
    this.#hold();
    return this.#mayRepeat && this.#canReplay;
  }

  /** What has written cannot be done once more, unless its method says that it can. */
  get #mayRepeat(): boolean {
    return this.#parts.isRead || !this.#hasWritten;
  }

  /** Whether the request is to be had for the primary by now, wherever it is sent from. */
  get #canReplay(): boolean {
    const { isRead, settings } = this.#parts;
    return isRead || this.isByDoor || settings.forward === 'fly-replay' || this.#body?.isKept === true;
  }

  /** Requests for the same thing often wait for the first of them: what refuses that one fails them all. */
  refusedBeside(): void {
    const { isRead, response } = this.#parts;
    if (!isRead || response.headersSent) return;
    this.#isRefusedBeside = true;
    this.#hold();
  }

  get isOver(): boolean {
    const { response } = this.#parts;
    return response.writableEnded || response.destroyed;
  }

  wrote(): void {
    this.#hasWritten = true;
    const { node, isRead, response } = this.#parts;
    // What is no read, the door takes for a write by itself.
    if ((this.isByDoor && !isRead) || this.#changed || response.headersSent) return;
    // A read that writes: all that is committed now counts as its own.
    this.#changed = new ChangedDatabases(node.place.directory, node.positions, this.#beganMs);
    this.#hold();
  }

  #hold(): void {
    this.#held ??= new HeldResponse(this.#parts.response, (status) => this.#judge(status));
  }

  /** An app that answers well although it was refused has decided so. */
  #judge(status: number): Verdict | Promise<Verdict> {
    const isFailed = this.#isRefused
      ? this.#mayRepeat && status >= 400
      : this.#isRefusedBeside && status >= 500;
    if (isFailed && this.#replay()) return { kind: 'drop' };
    if (this.#changed) return this.#settle(this.#changed);
    return { kind: 'send', headers: [] };
  }

  /** Has the primary answer in the app's place; false where the request is not to be had any more. */
  #replay(): boolean {
    const { request, response, isRead, forward, settings } = this.#parts;
    const body = isRead ? Buffer.alloc(0) : this.#body?.bytes;
    if (this.isByDoor) {
      new Answer(response).refuse(409, 'Conflict', 'The primary answers this.', ['skein-replay', 'primary']);
      return true;
    }
    if (settings.forward === 'fly-replay') {
      void this.#answerReplay();
      return true;
    }
    if (!body) return false;
    void forward.send({ request, response, body });
    return true;
  }

  async #answerReplay(): Promise<void> {
    const { node, response, settings } = this.#parts;
    const answer = new Answer(response);
    const deadlineMs = performance.now() + settings.primaryWaitMs;
    while (node.role.primary === undefined && performance.now() < deadlineMs)
      await node.role.changed(deadlineMs - performance.now());
    const { primary } = node.role;
    if (answer.isGone) return;
    if (primary === undefined)
      answer.refuse(503, 'Service Unavailable', 'No primary is known.', ['retry-after', '1']);
    else answer.refuse(409, 'Conflict', 'The primary answers this.', ['fly-replay', `instance=${primary}`]);
  }

  async #settle(changed: ChangedDatabases): Promise<Verdict> {
    const { node, settings, response } = this.#parts;
    try {
      const { durability, durabilityWaitMs } = settings;
      const level = this.isByDoor ? 'local' : durability;
      const durable = await node.durable.settle(level, { timeoutMs: durabilityWaitMs, changed });
      if (durable.written.size === 0) return { kind: 'send', headers: [] };
      if (this.isByDoor) return { kind: 'send', headers: [[wroteHeader, wroteText(durable)]] };
      const headers = this.#positionHeaders(changed, durable);
      headers.push([durabilityHeader, durable.isTimedOut ? 'local' : String(durable.level)]);
      return { kind: 'send', headers };
    } catch (error) {
      // The app's answer would say that the write is done, which nobody knows.
      const answer = new Answer(response);
      if (!answer.isGone)
        answer.refuse(503, 'Service Unavailable', messageOf(error), [durabilityHeader, 'unknown']);
      return { kind: 'drop' };
    }
  }

  /** With what the session knew before: of other databases, its position is as good as it was. */
  #positionHeaders(changed: ChangedDatabases, { written, epoch }: Durable): HeaderPair[] {
    const { request, settings } = this.#parts;
    const { database } = settings;
    // Without a name, it is of the database that was the only one then.
    const known = sessionOf(request, database === undefined ? changed.names : [database]);
    const told = new Map(known?.txids);
    for (const [name, txid] of written) {
      if (database !== undefined && name !== database) continue;
      // The newest last: they are kept when there are too many.
      told.delete(name);
      told.set(name, txid);
    }
    const text = formatSession({ epoch: Math.max(known?.epoch ?? 0, epoch), txids: told }, database);
    if (text === undefined) return [];
    return [
      ['set-cookie', sessionCookie(text, request)],
      [headerName, text],
    ];
  }
}

function wroteText({ written }: Durable): string {
  return written.size > databasesMax ? wroteAll : (formatTxids(written) ?? wroteAll);
}
