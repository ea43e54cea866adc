import type { Socket } from 'node:net';
import { messageOf, SkeinError } from '../base/errors.ts';
import type { ExchangeClient } from './exchange-client.ts';
import type { Fields } from './fields.ts';
import { informationText, lastChunkText, requestText, responseText, switchingText } from './forward-head.ts';
import { KeptBody } from './kept-body.ts';
import { chunkOf, writeParts } from './message-writer.ts';
import { repeatable } from './repeatable.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseFraming, ResponseHead } from './response-head.ts';
import { RetryTime } from './retry-time.ts';
import type { Answer, Forwarding, Review, Route, RoutedRequest, Sending } from './route.ts';
import { stopping } from './stopping.ts';
import type { ResponseSink, UpstreamConnection } from './upstream-connection.ts';

/** How much of a body waits while it is not known where it goes. */
const queueBytesMax = 65_536;
/** How often a request is sent anew, to another place or on another connection. */
const attemptsMax = 1_000;
const replaysMax = 10;
const retryPauseMs = 50;
/** On a connection that was idle for longer, a request that is not safe to repeat might meet its end. */
const unsafeIdleMsMax = 1_000;

/** One request and its response, from the client's connection to another and back. */
export class Exchange implements ResponseSink, RoutedRequest {
  readonly head: RequestHead;
  readonly #client: ExchangeClient;
  /** Made when somebody asks for its signal: most requests need none. */
  #gone: AbortController | undefined;
  #forwarding: Forwarding | undefined;
  #connection: UpstreamConnection | undefined;
  #isConnectionFresh = true;
  /** Of the connection that the request went on last. */
  #upstreamMark: string | undefined;
  /** Until the app is done with the request. */
  #sending: Sending | undefined;
  #review: Sending['review'];
  /** What of the request's body could not be sent so far. */
  #queue: Buffer[] = [];
  #queueBytes = 0;
  readonly #kept: KeptBody;
  #isRequestComplete: boolean;
  #trailers: Fields | undefined;
  #hasContinued = false;
  #attempts = 0;
  /** Where the request goes, also when it has to be sent once more. A replay changes it. */
  #find: () => Route | Promise<Route>;
  #replays = 0;
  readonly #retryTime: RetryTime;
  #response: ResponseHead | undefined;
  #framing: ResponseFraming = 'none';
  /** What of the response's body came before its head could go out. */
  #held: Buffer[] = [];
  #isHeadSent = false;
  #isResponseComplete = false;
  #responseTrailers: Fields | undefined;
  #isOver = false;

  constructor(client: ExchangeClient, head: RequestHead) {
    this.#client = client;
    this.head = head;
    this.#isRequestComplete = !head.hasBody;
    this.#find = () => client.shared.router.route(this);
    this.#kept = new KeptBody(client.shared.keptBodies);
    this.#retryTime = new RetryTime(client.shared);
  }

  get method(): string {
    return this.head.method;
  }

  get wantsUpgrade(): boolean {
    return this.head.upgrade !== undefined;
  }

  get isFromNode(): boolean {
    return this.#client.isTunnel;
  }

  get againMark(): string | undefined {
    return this.#client.againMark;
  }

  get isSecure(): boolean {
    return this.#client.isSecure(this.head);
  }

  get signal(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  get isDraining(): boolean {
    return this.#client.shared.isDraining;
  }

  /** Whether it is known where the request goes, so that more of it can be taken. */
  get isUnderWay(): boolean {
    return this.#connection !== undefined;
  }

  get isRequestComplete(): boolean {
    return this.#isRequestComplete;
  }

  get hasBegunToAnswer(): boolean {
    return this.#isHeadSent;
  }

  /** Finds out where the request goes, and sends what has come of it. */
  begin(): void {
    this.#route();
  }

  /** Some of the request's body. */
  requestData(data: Buffer): void {
    if (this.#isOver) return;
    this.#kept.add(data);
    const connection = this.#connection;
    if (!connection) {
      this.#queue.push(data);
      this.#queueBytes += data.length;
      if (this.#queueBytes > queueBytesMax) this.#client.pause();
    } else if (!writeParts(connection.socket, this.head.fields.isChunked ? chunkOf(data) : [data]))
      this.#client.pause();
  }

  requestEnded(trailers: Fields | undefined): void {
    this.#isRequestComplete = true;
    this.#trailers = trailers;
    if (this.#connection) this.#endRequest(this.#connection);
  }

  /** The client is gone, or what it sent is not valid. */
  abort(): void {
    if (this.#isOver) return;
    this.#over();
    this.#gone ??= new AbortController();
    this.#gone.abort();
    this.#connection?.abandon();
  }

  /** The node ends: where nobody was given the request, the client is told. */
  giveUp(): void {
    if (this.#connection || this.#response) return;
    // By the mark, another door would send it once more.
    this.#answerWith(stopping(this.#attempts > 1 || this.#replays > 0 ? undefined : this.againMark));
  }

  drained(): void {
    this.#client.resume();
  }

  /** More of the response may be written. */
  clientDrained(): void {
    if (this.#isHeadSent) this.#connection?.socket.resume();
  }

  informed(head: ResponseHead): void {
    if (head.status === 100) this.#hasContinued = true;
    if (!this.head.isHttp10 && !this.#isHeadSent) this.#client.write(informationText(head));
  }

  responded(head: ResponseHead, framing: ResponseFraming, first: Buffer[], isComplete: boolean): void {
    this.#response = head;
    this.#framing = framing;
    this.#held = first;
    this.#isResponseComplete = isComplete;
    if (isComplete) this.#connection = undefined;
    this.#settle();
    const review = this.#review?.(head, this.#upstreamMark);
    if (!(review instanceof Promise)) {
      this.#reviewed(review);
      return;
    }
    if (!isComplete) this.#connection?.socket.pause();
    const connection = this.#connection;
    void review.then((answer) => {
      if (this.#isOver) return;
      if (!this.#isResponseComplete && this.#connection === connection) connection?.socket.resume();
      this.#reviewed(answer);
    }, this.#refused);
  }

  bodyData(data: Buffer): void {
    if (!this.#isHeadSent) this.#held.push(data);
    else if (!this.#client.writeParts(this.#outgoing(data))) this.#connection?.socket.pause();
  }

  bodyEnded(trailers: Fields | undefined): void {
    this.#isResponseComplete = true;
    this.#connection = undefined;
    this.#responseTrailers = trailers;
    if (this.#isHeadSent) this.#finish();
  }

  upgraded(head: ResponseHead, socket: Socket, rest: Buffer): void {
    this.#settle();
    this.#over();
    this.#client.switchTo(switchingText(head), socket, rest);
  }

  failed(reason: string, hasAnswered: boolean): void {
    if (this.#isOver) return;
    const isToNode = this.#forwarding?.isToNode ?? false;
    this.#settle();
    if (this.#isHeadSent) {
      this.#over();
      // The client is not to take what it has for the whole.
      if (this.#framing === 'close') this.#client.reset();
      else this.#client.destroy();
      return;
    }
    this.#connection = undefined;
    const mayRepeat = repeatable.has(this.method) && this.#kept.isWhole && !this.#response;
    if (mayRepeat && !hasAnswered && (isToNode || !this.#isConnectionFresh)) this.#again();
    else
      this.#answer(
        502,
        `${isToNode ? 'The primary' : 'The app'} did not answer in full: ${reason.replace(/\.$/, '')}.`,
      );
  }

  #route(): void {
    this.#attempts += 1;
    const route = this.#find();
    if (route instanceof Promise)
      void route.then((found) => this.#isOver || this.#take(found), this.#refused);
    else this.#take(route);
  }

  /** The node cannot say where the request goes, or what has become of it. */
  readonly #refused = (error: unknown): void => {
    if (!(error instanceof SkeinError)) throw error;
    this.#answer(503, error.message);
  };

  #take(route: Route): void {
    if (route.kind === 'answer') this.#answerWith(route);
    else this.#send(route);
  }

  #send(forwarding: Forwarding): void {
    this.#forwarding = forwarding;
    // Only one that was just in use, for what must not be sent twice.
    const idleMsMax = repeatable.has(this.method) ? Number.POSITIVE_INFINITY : unsafeIdleMsMax;
    const connection = forwarding.pool.take(idleMsMax);
    if (connection) this.#attach(connection, forwarding);
    else void this.#open(forwarding);
  }

  async #open(forwarding: Forwarding): Promise<void> {
    try {
      const connection = await forwarding.pool.open(this);
      if (!connection) this.#refuse(forwarding);
      else if (this.#isOver) forwarding.pool.release(connection);
      else this.#attach(connection, forwarding);
    } catch (error) {
      if (this.#isOver) return;
      // Nothing was sent.
      if (this.#retryTime.isLeft(forwarding)) this.#again();
      else if (forwarding.isToNode) this.#answer(503, `${messageOf(error)} Nothing was written.`);
      else this.#answer(502, `The app does not answer: ${messageOf(error)}.`);
    }
  }

  #refuse({ isToNode }: Forwarding): void {
    const place = isToNode ? 'primary' : 'app';
    const body = `The ${place} has as many connections as it may have. Nothing was sent. Try again.\n`;
    this.#answerWith({ kind: 'answer', status: 503, lines: 'Retry-After: 1\r\n', body });
  }

  /** Routes the request once more, in a moment; what was sent of it is sent from the beginning. */
  #again(): void {
    this.#forwarding = undefined;
    if (this.#attempts >= attemptsMax || !this.#rewind()) {
      this.#answer(502, 'The app could not be reached.');
      return;
    }
    setTimeout(() => this.#isOver || this.#route(), retryPauseMs * Math.min(this.#attempts, 4));
  }

  /** Puts what was sent of the body back into the queue. False when that is not known any more. */
  #rewind(): boolean {
    this.#connection = undefined;
    this.#response = undefined;
    this.#held = [];
    this.#isResponseComplete = false;
    if (!this.#kept.isWhole) return this.#kept.isUnused(this.#queueBytes);
    this.#queue = [...this.#kept.parts];
    this.#queueBytes = this.#kept.bytes;
    return true;
  }

  #attach(connection: UpstreamConnection, forwarding: Forwarding): void {
    const sending = forwarding.send();
    if (!sending) {
      forwarding.pool.release(connection);
      this.#route();
      return;
    }
    this.#sending = sending;
    this.#review = sending.review;
    this.#connection = connection;
    this.#isConnectionFresh = connection.uses === 0;
    this.#upstreamMark = connection.againMark;
    connection.start(this);
    const { head } = this;
    const expects = !this.#hasContinued && !this.#isRequestComplete && this.#queueBytes === 0;
    const text = requestText(head, this.#client.sender(head), forwarding.lines, { expects });
    const parts = head.fields.isChunked ? this.#queue.flatMap((data) => chunkOf(data)) : this.#queue;
    this.#queue = [];
    this.#queueBytes = 0;
    if (writeParts(connection.socket, [text, ...parts])) this.#client.resume();
    if (this.#isRequestComplete) this.#endRequest(connection);
  }

  #endRequest(connection: UpstreamConnection): void {
    if (this.head.fields.isChunked) connection.socket.write(lastChunkText(this.#trailers), 'latin1');
    connection.requestSent();
  }

  #reviewed(review: Review | undefined): void {
    if (review?.answer) this.#answerWith(review.answer);
    else if (review?.replay) this.#replay(review.replay, review.find);
    else if (review?.again && this.#kept.isWhole && this.#retryTime.isLeft({ isToNode: true })) {
      if (!this.#isResponseComplete) this.#connection?.abandon();
      this.#again();
    } else this.#sendHead(review ?? {});
  }

  #replay(route: Route, find: (() => Route | Promise<Route>) | undefined): void {
    if (find) this.#find = find;
    if (!this.#isResponseComplete) this.#connection?.abandon();
    this.#replays += 1;
    const isWhole = this.#rewind();
    if (!isWhole) this.#answer(413, 'The body is too large for the request to be replayed.');
    else if (this.#replays > replaysMax) this.#answer(508, `More than ${replaysMax} replays.`);
    else this.#take(route);
  }

  #sendHead(edits: Review): void {
    const head = this.#response as ResponseHead;
    if (this.#framing === 'close') this.#framing = this.head.isHttp10 ? 'close' : 'chunked';
    if (this.#framing === 'chunked' && this.head.isHttp10) this.#framing = 'close';
    const keeps = this.#client.keepsAlive(this) && this.#framing !== 'close';
    const connection = keeps ? (this.head.isHttp10 ? 'keep-alive' : '') : 'close';
    const text = responseText(head, this.#framing, connection, edits);
    this.#kept.drop();
    this.#isHeadSent = true;
    const parts = this.#held.flatMap((data) => this.#outgoing(data));
    this.#held = [];
    const isComplete = this.#isResponseComplete;
    if (!this.#client.writeParts([text, ...parts]) && !isComplete) this.#connection?.socket.pause();
    if (isComplete) this.#finish();
  }

  #outgoing(data: Buffer): (string | Buffer)[] {
    return this.#framing === 'chunked' ? chunkOf(data) : [data];
  }

  #finish(): void {
    if (this.#isOver) return;
    if (this.#framing === 'chunked') this.#client.write(lastChunkText(this.#responseTrailers));
    this.#over();
    this.#client.finished(this, this.#framing === 'close');
  }

  #answer(status: number, message: string): void {
    this.#answerWith({ kind: 'answer', status, body: `${message}\n` });
  }

  #answerWith(answer: Answer): void {
    if (this.#isOver) return;
    this.#over();
    this.#connection?.abandon();
    this.#client.answer(this, answer);
  }

  #settle(): void {
    const sending = this.#sending;
    this.#sending = undefined;
    sending?.settled?.();
  }

  #over(): void {
    this.#settle();
    this.#isOver = true;
    // Whatever still waits for its sake.
    this.#gone?.abort();
    this.#kept.drop();
    this.#queue = [];
  }
}
