import type { Duplex } from 'node:stream';
import type { Head } from './bus-frames.ts';

/** What the socket holds unsent before lines wait here, where the oldest can still be dropped. */
const unsentBytesMax = 256 << 10;
const batchCharactersMax = 64 << 10;
const newline = 0x0a;
const tab = 0x09;

export type Line = { readonly head: Head; readonly body?: string | undefined };

export type LineSocketOptions = {
  readonly lineBytesMax: number;
  /** Lines that may wait. Beyond it the oldest that may be lost is dropped; at four times this the link ends. */
  readonly queueBytesMax: number;
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
  heartbeat(): Head;
  /** Throws to end the link. */
  received(head: Head, body: string | undefined): void;
  /** Called once, however it ended. */
  closed(reason: string): void;
};

type Waiting = { text: string; readonly dropped: (() => void) | undefined };

/** Frames as lines over one socket, both ways, with nothing unbounded. */
export class LineSocket {
  readonly #socket: Duplex;
  readonly #options: LineSocketOptions;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #queue: Waiting[] = [];
  #queuedCharacters = 0;
  /** Those of the queue that may be lost, oldest first. */
  #droppable: Waiting[] = [];
  #feeds: Iterator<Line>[] = [];
  #isFlushPlanned = false;
  #isOpen = true;
  #isEnding = false;
  readonly #timer: NodeJS.Timeout;
  #heardMs = performance.now();
  #tickedMs = performance.now();

  /** `head` are bytes that came with the upgrade. */
  constructor(socket: Duplex, head: Buffer, options: LineSocketOptions) {
    this.#socket = socket;
    this.#options = options;
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('drain', () => this.#flush());
    socket.on('end', () => this.destroy('the other side ended the link'));
    socket.on('error', (error) => this.destroy(error.message));
    socket.on('close', () => this.destroy('the link was lost'));
    this.#timer = setInterval(() => this.#tick(), options.heartbeatMs);
    this.#timer.unref();
    if (head.length > 0) process.nextTick(() => this.#take(head));
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#isEnding;
  }

  /** Whether what is sent now goes out at once. */
  get hasRoom(): boolean {
    return this.isOpen && this.#queuedCharacters < unsentBytesMax;
  }

  /** Keeps the process running for as long as the link stands, or not. */
  setRef(isKept: boolean): void {
    const socket = this.#socket as Duplex & { ref?(): void; unref?(): void };
    if (isKept) socket.ref?.();
    else socket.unref?.();
  }

  /** False when the link is over. A line with `dropped` may be lost to a side that does not read; that is called then. */
  send(head: Head, body?: string, dropped?: () => void): boolean {
    if (!this.isOpen) return false;
    const waiting = { text: textOf({ head, body }), dropped };
    this.#queue.push(waiting);
    this.#queuedCharacters += waiting.text.length;
    if (dropped) this.#droppable.push(waiting);
    if (this.#queuedCharacters > this.#options.queueBytesMax) this.#makeRoom();
    this.#planFlush();
    return this.#isOpen;
  }

  /** Sends what the iterator gives, no faster than the other side reads; single lines go first. */
  feed(lines: Iterator<Line>): void {
    this.#feeds.push(lines);
    this.#planFlush();
  }

  /** Sends a last line, and ends the link when that is out. */
  end(head: Head): void {
    if (!this.send(head)) return;
    this.#feeds = [];
    this.#flush();
    this.#isEnding = true;
    this.#socket.end();
    setTimeout(() => this.destroy('the link was ended'), 1_000).unref();
  }

  destroy(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#timer);
    this.#socket.destroy();
    this.#queue = [];
    this.#droppable = [];
    this.#feeds = [];
    this.#rest = [];
    this.#options.closed(reason);
  }

  #tick(): void {
    const nowMs = performance.now();
    const { heartbeatMs, silenceMaxMs } = this.#options;
    // After this process itself has stood still, what came meanwhile has not been read yet.
    const stoodStill = nowMs - this.#tickedMs > 2 * heartbeatMs;
    this.#tickedMs = nowMs;
    if (!stoodStill && nowMs - this.#heardMs > silenceMaxMs)
      this.destroy(`the other side was silent for ${silenceMaxMs / 1_000} s`);
    else if (this.hasRoom) this.send(this.#options.heartbeat());
  }

  #take(bytes: Buffer): void {
    if (!this.#isOpen) return;
    this.#heardMs = performance.now();
    let from = 0;
    for (let at = bytes.indexOf(newline); at >= 0 && this.#isOpen; at = bytes.indexOf(newline, from)) {
      const line = bytes.subarray(from, at);
      from = at + 1;
      if (this.#restBytes + line.length > this.#options.lineBytesMax) {
        this.#refuseLength();
        return;
      }
      const whole = this.#rest.length === 0 ? line : Buffer.concat([...this.#rest, line]);
      this.#rest = [];
      this.#restBytes = 0;
      this.#receive(whole);
    }
    if (from >= bytes.length || !this.#isOpen) return;
    this.#rest.push(bytes.subarray(from));
    this.#restBytes += bytes.length - from;
    if (this.#restBytes > this.#options.lineBytesMax) this.#refuseLength();
  }

  #refuseLength(): void {
    this.destroy(`the other side sent a line of over ${this.#options.lineBytesMax} bytes`);
  }

  #receive(line: Buffer): void {
    try {
      const split = line.indexOf(tab);
      const head: unknown = JSON.parse(line.toString('utf8', 0, split < 0 ? line.length : split));
      if (typeof head !== 'object' || head === null || !('t' in head) || typeof head.t !== 'string')
        throw new Error('a line without a type');
      this.#options.received(head as Head, split < 0 ? undefined : line.toString('utf8', split + 1));
    } catch (error) {
      this.destroy(error instanceof Error ? error.message : String(error));
    }
  }

  /** Lines of one turn of the event loop go out in one write. */
  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    process.nextTick(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#isOpen || this.#isEnding) return;
    let sent = 0;
    while (this.#socket.writableLength < unsentBytesMax) {
      let batch = '';
      while (sent < this.#queue.length && batch.length < batchCharactersMax) {
        const waiting = this.#queue[sent];
        sent += 1;
        batch += waiting.text;
        this.#queuedCharacters -= waiting.text.length;
        waiting.text = '';
      }
      while (sent === this.#queue.length && batch.length < batchCharactersMax) {
        const line = this.#nextOfFeeds();
        if (!line) break;
        batch += textOf(line);
      }
      if (batch === '') break;
      this.#socket.write(batch);
    }
    this.#queue = sent === this.#queue.length ? [] : this.#queue.slice(sent);
    if (this.#droppable.length > 2 * this.#queue.length)
      this.#droppable = this.#droppable.filter(({ text }) => text !== '');
  }

  #nextOfFeeds(): Line | undefined {
    for (;;) {
      const [first] = this.#feeds;
      if (!first) return undefined;
      const next = first.next();
      if (!next.done) return next.value;
      this.#feeds.shift();
    }
  }

  #makeRoom(): void {
    const { queueBytesMax } = this.#options;
    // More than is needed for this line, so that not every one that follows has to look again.
    const wanted = 0.75 * queueBytesMax;
    let index = 0;
    for (; index < this.#droppable.length && this.#queuedCharacters > wanted; index += 1) {
      const waiting = this.#droppable[index];
      // It has gone out meanwhile.
      if (waiting.text === '') continue;
      this.#queuedCharacters -= waiting.text.length;
      waiting.text = '';
      waiting.dropped?.();
    }
    this.#droppable = this.#droppable.slice(index);
    if (this.#queuedCharacters > 4 * queueBytesMax) this.destroy('the other side does not read');
  }
}

function textOf({ head, body }: Line): string {
  return body === undefined ? `${JSON.stringify(head)}\n` : `${JSON.stringify(head)}\t${body}\n`;
}
