/** From this many bytes on, creating a view that reads whole words pays for itself. */
const wordwiseBytesMin = 64;

/**
 * CRC-64/ISO. The polynomial, t^64 + t^4 + t^3 + t + 1, has so few terms that shifts reduce faster than tables:
 * t^64 is congruent to (1 + t)(1 + t^3) and, squared, t^128 to (1 + t^2)(1 + t^6). The code is reflected: bit 0 of a
 * word is its highest power, a right shift multiplies by t, and what falls out below comes back, reduced, on top.
 * With four 32-bit words at a time this is three to four times as fast as slicing by 8, and leaves the caches to others.
 */
export class Crc64 {
  #high = -1;
  #low = -1;

  reset(): void {
    this.#high = -1;
    this.#low = -1;
  }

  /** Adds `bytes` from `start` to before `end`. */
  update(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    let next = start;
    if (end - start >= wordwiseBytesMin) {
      next = end - ((end - start) & 15);
      this.#updateWords(new DataView(bytes.buffer, bytes.byteOffset + start, next - start));
    }
    let high = this.#high;
    let low = this.#low;
    for (; next < end; next++) {
      let out = (low ^ bytes[next]) << 24;
      low = (low >>> 8) | (high << 24);
      out ^= out >>> 1;
      out ^= out >>> 3;
      high = (high >>> 8) ^ out;
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  /** Adds the four bytes of `value`, big-endian. */
  updateUint32(value: number): this {
    const word = (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
    const out = this.#low ^ word;
    const once = out ^ (out >>> 1);
    const onceBelow = out << 31;
    this.#low = this.#high ^ onceBelow ^ ((onceBelow >>> 3) | (once << 29));
    this.#high = once ^ (once >>> 3);
    return this;
  }

  /** The upper half of the result, unsigned. */
  get high(): number {
    return ~this.#high >>> 0;
  }

  /** The lower half of the result, unsigned. */
  get low(): number {
    return ~this.#low >>> 0;
  }

  digest(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** Adds all of `view`, a positive multiple of 16 bytes. Four words a, b, c, d hold 128 bits of remainder. */
  #updateWords(view: DataView): void {
    let a = this.#low ^ view.getInt32(0, true);
    let b = this.#high ^ view.getInt32(4, true);
    let c = view.getInt32(8, true);
    let d = view.getInt32(12, true);
    const end = view.byteLength;
    for (let next = 16; next < end; next += 16) {
      const first = a << 30;
      a ^= (a >>> 2) | (b << 30);
      b ^= (b >>> 2) | (c << 30);
      c ^= (c >>> 2) | (d << 30);
      d ^= d >>> 2;
      let out = first ^ (first >>> 6) ^ (a << 26);
      out ^= out >>> 2;
      out ^= out >>> 6;
      a ^= ((a >>> 6) | (b << 26)) ^ view.getInt32(next, true);
      b ^= ((b >>> 6) | (c << 26)) ^ view.getInt32(next + 4, true);
      c ^= ((c >>> 6) | (d << 26)) ^ view.getInt32(next + 8, true);
      d ^= (d >>> 6) ^ out ^ view.getInt32(next + 12, true);
    }
    this.#low = a;
    this.#high = b;
    this.#multiply64();
    this.#low ^= c;
    this.#high ^= d;
    this.#multiply64();
  }

  /** Multiplies the remainder by t^64. */
  #multiply64(): void {
    const high = this.#high;
    const low = this.#low;
    const first = low << 31;
    const onceLow = low ^ ((low >>> 1) | (high << 31));
    const onceHigh = high ^ (high >>> 1);
    let out = first ^ (first >>> 3) ^ (onceLow << 29);
    out ^= out >>> 1;
    out ^= out >>> 3;
    this.#low = onceLow ^ ((onceLow >>> 3) | (onceHigh << 29));
    this.#high = onceHigh ^ (onceHigh >>> 3) ^ out;
  }
}
