import { ServerResponse } from 'node:http';

const { writeHead, write, end } = ServerResponse.prototype;

/**
 * A response as only this library writes it: past what the app's own middleware has put around it, so that what comes from
 * the primary arrives as it was sent.
 */
export class Answer {
  readonly #response: ServerResponse;
  #hasBegun = false;
  #hasEnded = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get isGone(): boolean {
    return this.#response.destroyed;
  }

  /** Whether a head went out; what the app believes is another matter. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  earlyHints(link: string | string[]): void {
    this.#response.writeEarlyHints({ link });
  }

  /** What the app has set for an answer of its own goes. */
  head(status: number, message: string, headers: readonly string[]): void {
    for (const name of this.#response.getHeaderNames()) this.#response.removeHeader(name);
    this.#hasBegun = true;
    Reflect.apply(writeHead, this.#response, [status, message, headers]);
  }

  write(chunk: Buffer): boolean {
    return Reflect.apply(write, this.#response, [chunk]) as boolean;
  }

  /** `trailers` are names and values in turn. */
  end(chunk?: string, trailers: readonly string[] = []): void {
    const pairs: [string, string][] = [];
    for (let index = 0; index + 1 < trailers.length; index += 2)
      pairs.push([trailers[index] ?? '', trailers[index + 1] ?? '']);
    if (pairs.length > 0) this.#response.addTrailers(pairs);
    this.#hasEnded = true;
    Reflect.apply(end, this.#response, chunk === undefined ? [] : [chunk]);
  }

  /** A short text of ours, where nothing was answered yet. */
  refuse(status: number, message: string, text: string, headers: readonly string[] = []): void {
    const body = `${text}\n`;
    const length = String(Buffer.byteLength(body));
    const own = [
      'content-type',
      'text/plain; charset=utf-8',
      'content-length',
      length,
      'cache-control',
      'no-store',
    ];
    this.head(status, message, [...own, ...headers]);
    this.end(body);
  }

  onceDrained(listener: () => void): void {
    this.#response.once('drain', listener);
  }

  onceClosed(listener: () => void): void {
    this.#response.once('close', listener);
  }

  destroy(): void {
    this.#response.destroy();
  }
}
