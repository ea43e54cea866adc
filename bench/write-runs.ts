/** Rows that one writer committed with no row of another in between, as their ids tell. */
export type WriteRun = {
  readonly node: string;
  readonly firstId: number;
  readonly lastId: number;
  /** When the first and the last commit returned, by the shared clock in ms. */
  readonly firstMs: number;
  readonly lastMs: number;
};

/** The change from one run to the next: from one primary to another. */
export type Handoff = {
  readonly from: string;
  readonly to: string;
  /**
   * First commit on the new primary minus the last on the old, as both returned. Below zero when the old one's return was
   * held up after its commit, as by a checkpoint of the app's own.
   */
  readonly gapMs: number;
  /** Rows of the old primary that the new one did not have when it wrote its first; below zero, rows of nobody. */
  readonly lostRows: number;
};

/** Notes one writer's commits as runs: what it has to remember does not grow with the rows. */
export class WriteRuns {
  readonly #node: string;
  readonly #runs: WriteRun[] = [];
  #current: { firstId: number; lastId: number; firstMs: number; lastMs: number } | undefined;

  constructor(node: string) {
    this.#node = node;
  }

  add(id: number, committedMs: number): void {
    const current = this.#current;
    if (current && id === current.lastId + 1) {
      current.lastId = id;
      current.lastMs = committedMs;
      return;
    }
    this.#close();
    this.#current = { firstId: id, lastId: id, firstMs: committedMs, lastMs: committedMs };
  }

  /** All runs up to now; nothing is added after this. */
  finish(): readonly WriteRun[] {
    this.#close();
    this.#current = undefined;
    return this.#runs;
  }

  #close(): void {
    if (this.#current) this.#runs.push({ node: this.#node, ...this.#current });
  }
}

/** The changes between the runs of all writers, in order of time. */
export function handoffsOf(runs: readonly WriteRun[]): Handoff[] {
  const inOrder = runs.toSorted((one, other) => one.firstMs - other.firstMs);
  return inOrder.slice(1).map((next, index) => {
    const last = inOrder[index];
    return {
      from: last.node,
      to: next.node,
      gapMs: next.firstMs - last.lastMs,
      lostRows: last.lastId + 1 - next.firstId,
    };
  });
}

export function rowsOf(runs: readonly WriteRun[]): number {
  return runs.reduce((sum, { firstId, lastId }) => sum + lastId - firstId + 1, 0);
}

/** Nothing is lost, and nothing is there that nobody wrote. Two that write at once would give rows the same ids. */
export function isClean({ from, to, lostRows }: Handoff): boolean {
  return from !== to && lostRows === 0;
}
