import type { Socket } from 'node:net';
import { messageOf } from '../base/errors.ts';
import { BadMessage } from './bad-message.ts';
import { BodyReader } from './body-reader.ts';
import type { Fields } from './fields.ts';
import { HeadReader } from './head-reader.ts';
import type { Tunnel } from './open-tunnel.ts';
import { framingOf, parseResponseHead, type ResponseFraming, type ResponseHead } from './response-head.ts';

/** What one request hears of its response. */
export type ResponseSink = {
  readonly method: string;
  /** Whether a switch of protocols was asked for. */
  readonly wantsUpgrade: boolean;
  /** A head with 100 to 199. */
  informed(head: ResponseHead): void;
  /** The head, and what of the body came with it. `isComplete` when that is all: the connection is not the sink's any more then. */
  responded(head: ResponseHead, framing: ResponseFraming, first: Buffer[], isComplete: boolean): void;
  bodyData(data: Buffer): void;
  /** The connection is not the sink's any more. */
  bodyEnded(trailers: Fields | undefined): void;
  /** The socket is the sink's from now on. */
  upgraded(head: ResponseHead, socket: Socket, rest: Buffer): void;
  /** The response does not come to its end. `hasAnswered` when some bytes of it have come. */
  failed(reason: string, hasAnswered: boolean): void;
  /** More of the request may be written. */
  drained(): void;
};

/**
 * After a response without a body (to HEAD, with 204 or 304): how long nothing may come before the connection is used again. An app
 * that writes a body all the same may do so in a later packet, where it would be the beginning of the next client's answer.
 * What it writes has a length that it believes in, so its head mostly tells of one. `rest`: the head does, as it may; it rests for a
 * second. `turn`: it does not; what is on its way already is looked for. To close it would be surest, and would cost an app that does
 * nothing wrong a connection for every HEAD and 304.
 */
export type Quiet = 'rest' | 'turn';

/** Who keeps a connection. */
export type ConnectionKeeper = {
  /** It can serve another request. */
  released(connection: UpstreamConnection): void;
  /** It can, after this. */
  quiet(connection: UpstreamConnection, quiet: Quiet): void;
  /** The app at its other end writes bodies where there are none: after such a response, its connections are not to be used again. */
  loose(): void;
  gone(connection: UpstreamConnection): void;
};

const nothing = Buffer.alloc(0);

/** One connection to an app, or through a tunnel to another door: one request after the other. */
export class UpstreamConnection {
  readonly socket: Socket;
  readonly againMark: string | undefined;
  /** How many requests it has had. */
  uses = 0;
  /** On the door's coarse clock. */
  idleSinceMs = 0;
  /** How long the other side keeps it when it is idle, as it says; undefined if it does not. */
  keepMs: number | undefined;
  readonly #keeper: ConnectionKeeper;
  readonly #reader: HeadReader;
  #sink: ResponseSink | undefined;
  #response: ResponseHead | undefined;
  #body: BodyReader | undefined;
  /** What of the body came in the same chunk as the head. */
  #first: Buffer[] | undefined;
  #hasAnswered = false;
  #isRequestSent = false;
  /** The last response had no body, and its sender is an app, not another door. */
  #wasBodyless = false;

  constructor({ socket, againMark }: Tunnel, headBytesMax: number, keeper: ConnectionKeeper) {
    this.socket = socket;
    this.againMark = againMark;
    this.#keeper = keeper;
    this.#reader = new HeadReader(headBytesMax, false);
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.writable && !this.socket.readableEnded;
  }

  start(sink: ResponseSink): void {
    this.#sink = sink;
    this.#response = undefined;
    this.#body = undefined;
    this.#hasAnswered = false;
    this.#isRequestSent = false;
    this.uses += 1;
  }

  /** All of the request has been written: the connection may serve another one when the response is there. */
  requestSent(): void {
    this.#isRequestSent = true;
  }

  /** The request is given up. */
  abandon(): void {
    this.#sink = undefined;
    this.socket.destroy();
  }

  readonly bodyData = (data: Buffer): void => {
    if (this.#first) this.#first.push(data);
    else this.#sink?.bodyData(data);
  };

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#read(chunk);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      if (!this.#response && this.#wasBodyless) this.#keeper.loose();
      this.#fail(`the response is not valid: ${error.message}`);
    }
  };

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      // Nobody has asked for this.
      if (!this.#sink) {
        if (this.#wasBodyless) this.#keeper.loose();
        this.socket.destroy();
        return;
      }
      this.#hasAnswered = true;
      if (this.#body) at = this.#readBody(this.#body, chunk, at);
      else at = this.#readHead(chunk, at);
    }
  }

  #readHead(chunk: Buffer, from: number): number {
    const text = this.#reader.read(chunk, from);
    if (text === undefined) return chunk.length;
    const at = this.#reader.next;
    const head = parseResponseHead(text);
    const sink = this.#sink as ResponseSink;
    if (head.status === 101) {
      this.#upgrade(head, chunk.subarray(at));
      return chunk.length;
    }
    if (head.status < 200) {
      sink.informed(head);
      return at;
    }
    const framing = framingOf(head, sink.method);
    this.#wasBodyless = framing === 'none' && this.againMark === undefined;
    const first: Buffer[] = [];
    this.#response = head;
    this.#body = new BodyReader(framing, head.fields.contentLength ?? 0, this);
    this.#first = first;
    const next = this.#body.read(chunk, at);
    this.#first = undefined;
    const { isComplete, trailers } = this.#body;
    // First of all it is free for others: the client's next request may come at once.
    if (isComplete) this.#finish(next < chunk.length);
    const endsWithTrailers = isComplete && trailers !== undefined;
    sink.responded(head, framing, first, isComplete && !endsWithTrailers);
    if (endsWithTrailers) sink.bodyEnded(trailers);
    return next;
  }

  #readBody(body: BodyReader, chunk: Buffer, from: number): number {
    const next = body.read(chunk, from);
    if (body.isComplete) {
      const sink = this.#sink;
      this.#finish(next < chunk.length);
      sink?.bodyEnded(body.trailers);
    }
    return next;
  }

  #upgrade(head: ResponseHead, rest: Buffer): void {
    const sink = this.#sink;
    if (!sink?.wantsUpgrade) throw new BadMessage(502, 'A switch of protocols that was not asked for.');
    this.#sink = undefined;
    const { socket } = this;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.pause();
    sink.upgraded(head, socket, rest.length === 0 ? nothing : rest);
  }

  /** The response is complete. `hasMore`: something follows that nobody has asked for, and that is no answer to who comes next. */
  #finish(hasMore: boolean): void {
    const response = this.#response;
    // Whether the other side waits for HTTP after an upgrade that it refused is not known.
    const isClear = !hasMore && this.socket.readableLength === 0 && this.#sink?.wantsUpgrade === false;
    this.#sink = undefined;
    this.#body = undefined;
    this.#response = undefined;
    if (hasMore && this.#wasBodyless) this.#keeper.loose();
    if (!isClear || !response?.keepsAlive || !this.#isRequestSent || !this.isOpen) {
      this.socket.destroy();
      return;
    }
    const timeout = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(response.fields.get('keep-alive') ?? '')?.[1];
    this.keepMs = timeout === undefined ? undefined : Number(timeout) * 1_000;
    if (!this.#wasBodyless) this.#keeper.released(this);
    else if (!tellsOfBody(response)) this.#keeper.quiet(this, 'turn');
    // With 204 it must not.
    else if (response.status === 204) this.socket.destroy();
    else this.#keeper.quiet(this, 'rest');
  }

  readonly #onEnd = (): void => {
    try {
      if (!this.#sink || !this.#body) throw new BadMessage(502, 'the connection was closed');
      this.#body.end();
    } catch (error) {
      this.#fail(messageOf(error));
      return;
    }
    const sink = this.#sink;
    this.#sink = undefined;
    this.socket.destroy();
    sink.bodyEnded(undefined);
  };

  readonly #onDrain = (): void => this.#sink?.drained();

  readonly #onError = (error: Error): void => this.#fail(error.message);

  readonly #onClose = (): void => {
    this.#fail('the connection was closed');
    this.#keeper.gone(this);
  };

  #fail(reason: string): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.socket.destroy();
    sink?.failed(reason, this.#hasAnswered);
  }
}

function tellsOfBody({ fields }: ResponseHead): boolean {
  return fields.isChunked || (fields.contentLength ?? 0) > 0;
}
