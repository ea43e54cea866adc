import { lockPageNumber } from '../sqlite/page-number.ts';
import { isSnapshot, type LtxHeader } from './header.ts';

/** Holds the pages of one file to the rules on their order. Encoder and decoder share it, so that they agree. */
export class PageSequence {
  readonly #commit: number;
  readonly #complete: boolean;
  readonly #lockPage: number;
  #last = 0;

  constructor(header: LtxHeader) {
    this.#commit = header.commit;
    this.#complete = isSnapshot(header);
    this.#lockPage = lockPageNumber(header.pageSize);
  }

  /** Takes the next page; returns what is wrong with it, or undefined. */
  next(page: number): string | undefined {
    if (page <= this.#last) return `page ${page} comes after page ${this.#last}`;
    if (page > this.#commit) return `page ${page} lies beyond the ${this.#commit} pages of the database`;
    if (page === this.#lockPage) return `it holds the lock page, ${page}`;
    if (this.#complete && page !== this.#after(this.#last)) {
      return `a snapshot lacks page ${this.#after(this.#last)}`;
    }
    this.#last = page;
    return undefined;
  }

  /** Says that no more pages come; returns what is wrong with that, or undefined. */
  end(): string | undefined {
    if (!this.#complete) return undefined;
    const missing = this.#after(this.#last);
    return missing <= this.#commit ? `a snapshot lacks page ${missing}` : undefined;
  }

  #after(page: number): number {
    return page + 1 === this.#lockPage ? page + 2 : page + 1;
  }
}
