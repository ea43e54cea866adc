import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Crc64 } from './crc64.ts';

/** The definition, one bit at a time. */
function slowCrc64(bytes: Uint8Array): bigint {
  let crc = (1n << 64n) - 1n;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? 0xd800000000000000n : 0n);
  }
  return crc ^ ((1n << 64n) - 1n);
}

test('gives the check value of CRC-64/ISO', () => {
  const crc = new Crc64().update(Buffer.from('123456789'));
  assert.equal(crc.digest(), 0xb90956c775a41001n);
  assert.equal(crc.high, 0xb90956c7);
  assert.equal(crc.low, 0x75a41001);
});

test('gives 0 for no bytes, and again after a reset', () => {
  const crc = new Crc64();
  assert.equal(crc.digest(), 0n);
  crc.update(Buffer.from('x')).reset();
  assert.equal(crc.digest(), 0n);
});

test('agrees with the bitwise definition at every length up to 200', () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 151 + 17) & 0xff);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    assert.equal(new Crc64().update(part).digest(), slowCrc64(part), `length ${length}`);
  }
});

test('gives the same however the bytes are cut up and wherever they lie', () => {
  const someBytes = fc.uint8Array({ maxLength: 1000 });
  fc.assert(
    fc.property(someBytes, fc.nat(1000), fc.nat(1000), fc.nat(15), (bytes, cutA, cutB, shift) => {
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      const first = shift + Math.min(cutA, bytes.length);
      const second = Math.max(first, shift + Math.min(cutB, bytes.length));
      const crc = new Crc64().update(moved, shift, first).update(moved, first, second).update(moved, second);
      assert.equal(crc.digest(), slowCrc64(bytes));
    }),
  );
});

test('takes an unsigned 32-bit number as its four bytes, big-endian', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 20 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (before, value) => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(value);
        const crc = new Crc64().update(before).updateUint32(value);
        assert.equal(crc.digest(), slowCrc64(Buffer.concat([before, bytes])));
      },
    ),
  );
});
