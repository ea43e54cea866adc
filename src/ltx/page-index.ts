/** Two varints of up to five bytes and one of up to eight. */
const entryBytesMax = 18;

/** The bytes of a file's page index, gathered as its frames go by: some ten bytes for a page. */
export class PageIndex {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  /** Adds a page whose frame, header included, takes `frameBytes` from `frameOffset` on. */
  append(page: number, frameOffset: number, frameBytes: number): void {
    if (this.#length + entryBytesMax > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#appendVarint(page);
    this.#appendVarint(frameOffset);
    this.#appendVarint(frameBytes);
  }

  /** All entries and the zero that ends them. The bytes stay the index's own; nothing can be added after. */
  finish(): Buffer {
    if (this.#length === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#length + 1);
    this.#appendVarint(0);
    return this.#bytes.subarray(0, this.#length);
  }

  #appendVarint(value: number): void {
    let rest = value;
    // Bit operations cut numbers off at 32 bits, and offsets are larger.
    while (rest >= 2 ** 31) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }
}
