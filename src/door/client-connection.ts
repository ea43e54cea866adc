import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { BadMessage } from './bad-message.ts';
import { BodyReader } from './body-reader.ts';
import type { DoorShared } from './door-shared.ts';
import { Exchange } from './exchange.ts';
import type { Answerable, ExchangeClient } from './exchange-client.ts';
import type { Sender } from './forward-head.ts';
import { HeadReader } from './head-reader.ts';
import { joinSockets } from './join-sockets.ts';
import { writeParts } from './message-writer.ts';
import { answerParts } from './own-answer.ts';
import type { Peer } from './peer.ts';
import { parseRequestHead, type RequestHead } from './request-head.ts';
import type { Answer } from './route.ts';

/** Who looks after a connection. */
export type ConnectionOwner = {
  /** It is gone, or has become a plain pipe. */
  closed(connection: ClientConnection): void;
  /** These two are a plain pipe from now on. */
  joined(one: Duplex, other: Duplex): void;
};

/** How much of requests that wait for their turn is read. */
const pendingBytesMax = 65_536;
/** How long a client may take to read a last answer while it still sends. */
const lingerMs = 2_000;

/** One client's connection: its requests, one after the other. */
export class ClientConnection implements ExchangeClient {
  readonly shared: DoorShared;
  readonly isTunnel: boolean;
  readonly againMark: string | undefined;
  readonly #owner: ConnectionOwner;
  readonly #peer: Peer;
  readonly #socket: Duplex;
  readonly #reader: HeadReader;
  #exchange: Exchange | undefined;
  #body: BodyReader | undefined;
  /** What came after the request that is being answered. */
  #pending: Buffer | undefined;
  #isReading = false;
  #isPaused = false;
  #isBlocked = false;
  /** The last answer is out: what comes is not looked at. */
  #isClosing = false;
  #hasEnded = false;
  /** Since when the client is waited for. */
  #sinceMs: number;

  constructor(shared: DoorShared, owner: ConnectionOwner, socket: Duplex, peer: Peer) {
    this.#owner = owner;
    this.shared = shared;
    this.#socket = socket;
    this.#peer = peer;
    this.isTunnel = peer.isTunnel;
    this.againMark = peer.againMark;
    this.#reader = new HeadReader(shared.limits.headBytesMax, true);
    this.#sinceMs = shared.nowMs();
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  get isIdle(): boolean {
    return !this.#exchange && !this.#reader.hasBegun;
  }

  sender(head: RequestHead): Sender {
    return this.#peer.sender(head);
  }

  isSecure(head: RequestHead): boolean {
    return this.#peer.isSecure(head);
  }

  /** Whether another request may follow this one. */
  keepsAlive(exchange: Answerable): boolean {
    return exchange.head.keepsAlive && !this.shared.isDraining && !this.#hasEnded;
  }

  write(text: string): boolean {
    return this.writeParts([text]);
  }

  /** False when it has enough; the exchange hears when it takes more. */
  writeParts(parts: readonly (string | Buffer)[]): boolean {
    const isReady = writeParts(this.#socket, parts);
    if (!isReady && !this.#isBlocked) {
      this.#isBlocked = true;
      this.#sinceMs = this.shared.nowMs();
    }
    return isReady;
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#sinceMs = this.shared.nowMs();
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    if (this.#socket instanceof Socket) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Writes the door's own answer to the request, and goes on or closes. */
  answer(exchange: Answerable, answer: Answer): void {
    const keeps = this.keepsAlive(exchange) && exchange.isRequestComplete;
    this.writeParts(answerParts(answer, exchange.head.method, keeps, exchange.head.isHttp10));
    this.finished(exchange, !keeps);
  }

  /** The response is complete. */
  finished(exchange: Answerable, mustClose: boolean): void {
    const keeps = !mustClose && exchange.isRequestComplete && this.keepsAlive(exchange);
    this.#exchange = undefined;
    this.#body = undefined;
    this.#sinceMs = this.shared.nowMs();
    if (!keeps) {
      this.#close();
      return;
    }
    this.resume();
    if (this.#pending && !this.#isReading) this.#readPending();
  }

  /** The connection becomes a pipe to the other socket. */
  switchTo(text: string, other: Duplex, rest: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.pause();
    if (this.#pending) other.write(this.#pending);
    writeParts(socket, rest.length > 0 ? [text, rest] : [text]);
    this.#exchange = undefined;
    this.#owner.closed(this);
    this.#owner.joined(socket, other);
    joinSockets(socket, other);
    if (this.#hasEnded) other.end();
  }

  /** Ends what takes too long. */
  sweep(nowMs: number): void {
    const { idleMs, headMs, progressMs } = this.shared.limits;
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#isClosing) {
      if (waitedMs > lingerMs) this.#socket.destroy();
    } else if (this.#isBlocked) {
      if (waitedMs > progressMs) this.#socket.destroy();
    } else if (this.#exchange) {
      const { isUnderWay } = this.#exchange;
      const isWaiting = this.#body?.isComplete === false && !this.#isPaused && isUnderWay;
      if (isWaiting && waitedMs > progressMs)
        this.#refuse(new BadMessage(408, 'The body did not come in time.'));
    } else if (this.#reader.hasBegun) {
      if (waitedMs > headMs) this.#refuse(new BadMessage(408, 'The head did not come in time.'));
    } else if (waitedMs > idleMs) this.#socket.destroy();
  }

  /** Closes it if no request is being answered. What another node has just sent is not to be lost. */
  drain(): void {
    if (this.isIdle && !this.isTunnel) this.#socket.destroy();
  }

  /** The node ends. */
  giveUp(): void {
    this.#exchange?.giveUp();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isClosing) return;
    const body = this.#body;
    if (!this.#exchange && !this.#reader.hasBegun) this.#sinceMs = this.shared.nowMs();
    if (!this.#exchange || (body && !body.isComplete)) this.#read(chunk);
    else this.#wait(chunk, 0);
  };

  #wait(chunk: Buffer, from: number): void {
    const rest = from === 0 ? chunk : chunk.subarray(from);
    this.#pending = this.#pending ? Buffer.concat([this.#pending, rest]) : rest;
    if (this.#pending.length > pendingBytesMax) this.pause();
  }

  #readPending(): void {
    while (this.#pending && !this.#exchange && !this.#isClosing) {
      const chunk = this.#pending;
      this.#pending = undefined;
      this.#read(chunk);
    }
  }

  #read(chunk: Buffer): void {
    this.#isReading = true;
    try {
      let at = 0;
      while (at < chunk.length && !this.#isClosing) {
        const body = this.#body;
        if (!this.#exchange) at = this.#readHead(chunk, at);
        else if (body && !body.isComplete) at = this.#readBody(body, chunk, at);
        else {
          this.#wait(chunk, at);
          break;
        }
      }
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      this.#refuse(error);
    } finally {
      this.#isReading = false;
    }
    if (this.#pending && !this.#exchange) this.#readPending();
  }

  #readHead(chunk: Buffer, from: number): number {
    const text = this.#reader.read(chunk, from);
    if (text === undefined) return chunk.length;
    const head = parseRequestHead(text);
    const exchange = new Exchange(this, head);
    this.#exchange = exchange;
    let next = this.#reader.next;
    if (head.hasBody) {
      const framing = head.fields.isChunked ? 'chunked' : 'length';
      const body = new BodyReader(framing, head.fields.contentLength ?? 0, {
        bodyData: (data) => exchange.requestData(data),
      });
      this.#body = body;
      this.#sinceMs = this.shared.nowMs();
      // What came with the head goes out with the head.
      next = this.#readBody(body, chunk, next);
    } else this.#body = undefined;
    exchange.begin();
    return next;
  }

  #readBody(body: BodyReader, chunk: Buffer, from: number): number {
    this.#sinceMs = this.shared.nowMs();
    const next = body.read(chunk, from);
    if (body.isComplete) this.#exchange?.requestEnded(body.trailers);
    return next;
  }

  /** The client's message is not valid, or does not come. */
  #refuse({ status, message }: BadMessage): void {
    const exchange = this.#exchange;
    const method = exchange?.head.method ?? 'GET';
    exchange?.abort();
    this.#exchange = undefined;
    if (exchange?.hasBegunToAnswer) {
      this.#socket.destroy();
      return;
    }
    this.writeParts(answerParts({ kind: 'answer', status, body: `${message}\n` }, method, false, false));
    this.#close();
  }

  /** The client gets time to read: a reset, for what it still sends, would take the answer away. */
  #close(): void {
    this.#isClosing = true;
    this.#pending = undefined;
    this.#sinceMs = this.shared.nowMs();
    this.#socket.end();
    // What it still sends is read, and dropped, until it has seen the end.
    this.#isPaused = false;
    this.#socket.resume();
  }

  readonly #onDrain = (): void => {
    this.#isBlocked = false;
    this.#sinceMs = this.shared.nowMs();
    this.#exchange?.clientDrained();
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    const body = this.#body;
    if (this.#exchange && (!body || body.isComplete)) return;
    // It has said half of something, and cannot say the rest.
    if (this.#exchange) this.#exchange.abort();
    this.#socket.end();
    if (this.#exchange) this.#socket.destroy();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#exchange?.abort();
    this.#exchange = undefined;
    this.#owner.closed(this);
  };
}
