import { assert } from '../base/assert.ts';
import { type LtxHeader, noChecksumFlag } from './header.ts';
import { ltxInvalid } from './ltx-invalid.ts';
import { type Checksum, isChecksum } from './position.ts';

export type LtxTrailer = {
  /** Checksum of the database once the file is applied; `0n` in a file without database checksums. */
  readonly postApplyChecksum: Checksum;
  /** Checksum of the file itself, all but its last eight bytes. */
  readonly fileChecksum: Checksum;
};

export const ltxTrailerBytes = 16;

/** Throws `LTX_INVALID` when the trailer breaks a rule of the format, or is not one for `header`. */
export function validateTrailer(trailer: LtxTrailer, header: LtxHeader): void {
  if (trailer.fileChecksum === 0n) throw ltxInvalid('the file checksum is missing');
  const expected = header.flags !== noChecksumFlag;
  if (expected && trailer.postApplyChecksum === 0n) throw ltxInvalid('the post-apply checksum is missing');
  if (!expected && trailer.postApplyChecksum !== 0n) throw ltxInvalid('a file without checksums has one');
}

export function encodeTrailer(trailer: LtxTrailer): Uint8Array {
  const bytes = new Uint8Array(ltxTrailerBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, trailer.postApplyChecksum);
  view.setBigUint64(8, trailer.fileChecksum);
  return bytes;
}

/** The trailer in the first `ltxTrailerBytes` of `bytes`. Throws `LTX_INVALID` when they are not one. */
export function decodeTrailer(bytes: Uint8Array): LtxTrailer {
  assert(bytes.length >= ltxTrailerBytes, 'a trailer needs all its bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, ltxTrailerBytes);
  const postApplyChecksum = view.getBigUint64(0);
  const fileChecksum = view.getBigUint64(8);
  if (!isChecksum(postApplyChecksum)) throw ltxInvalid('the post-apply checksum lacks its first bit');
  if (!isChecksum(fileChecksum)) throw ltxInvalid('the file checksum lacks its first bit');
  return { postApplyChecksum, fileChecksum };
}
