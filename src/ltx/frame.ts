import { lz4BlockBytesMax } from './lz4.ts';

/** Page number u32, flags u16. All zeros end the page block. */
export const pageHeaderBytes = 6;

/** The size of the compressed page, u32. */
export const sizeFieldBytes = 4;

export const frameHeaderBytes = pageHeaderBytes + sizeFieldBytes;

/** A size field follows the page header. Version 3 always has one. */
export const sizeFieldFlag = 0x1;

/** The size of the index in bytes, u64, after the index itself. */
export const indexSizeBytes = 8;

/** The most bytes that one page takes in a file. */
export function frameBytesMax(pageSize: number): number {
  return frameHeaderBytes + lz4BlockBytesMax(pageSize);
}
