import { assert } from '../base/assert.ts';

/** The number of a page in a database file, from 1. */
export type PageNumber = number & { readonly __brand: 'PageNumber' };

/** The largest page number, and so the largest size of a database in pages, that SQLite's file format allows. */
export const pageNumberMax = 2 ** 32 - 2;

const pageSizeMin = 512;
const pageSizeMax = 65536;

/** SQLite keeps its rollback-mode lock bytes here: the page around it never holds data. */
const lockByteOffset = 0x40000000;

export function pageNumber(n: number): PageNumber {
  assert(Number.isInteger(n) && n >= 1 && n <= pageNumberMax, 'a page number is from 1 to 2^32 - 2');
  return n as PageNumber;
}

/** The page that holds SQLite's lock bytes: never written, never counted in a checksum. */
export function lockPageNumber(pageSize: number): PageNumber {
  assert(isPageSize(pageSize), 'a page size is a power of two from 512 to 65536');
  return pageNumber(Math.floor(lockByteOffset / pageSize) + 1);
}

/** Whether `n` is a page size, in bytes, that SQLite allows: a power of two from 512 to 65536. */
export function isPageSize(n: number): boolean {
  return Number.isInteger(n) && n >= pageSizeMin && n <= pageSizeMax && (n & (n - 1)) === 0;
}
