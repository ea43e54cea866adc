/** What all requests together keep of their bodies, to send them once more. */
export type KeptBodies = {
  readonly bytesMax: number;
  readonly bytesMaxOfOne: number;
  bytes: number;
};

/** What was sent of one request's body, as long as it is within the limits. */
export class KeptBody {
  readonly #all: KeptBodies;
  #parts: Buffer[] | undefined = [];
  #bytes = 0;
  #seenBytes = 0;

  constructor(all: KeptBodies) {
    this.#all = all;
  }

  /** Whether all that came is here. */
  get isWhole(): boolean {
    return this.#parts !== undefined;
  }

  get parts(): readonly Buffer[] {
    return this.#parts ?? [];
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether all that came is in a queue of this length, and so nothing was sent. */
  isUnused(queuedBytes: number): boolean {
    return this.#seenBytes === queuedBytes;
  }

  add(data: Buffer): void {
    this.#seenBytes += data.length;
    if (!this.#parts) return;
    this.#bytes += data.length;
    this.#all.bytes += data.length;
    this.#parts.push(data);
    if (this.#bytes > this.#all.bytesMaxOfOne || this.#all.bytes > this.#all.bytesMax) this.drop();
  }

  drop(): void {
    this.#all.bytes -= this.#bytes;
    this.#bytes = 0;
    this.#parts = undefined;
  }
}
