/** A row that an app's commit has put in, and what is known about its node at that time. Times are `nowMs`. */
export type Commit = {
  readonly value: string;
  readonly node: string;
  /** The epoch in which its node led from before the write until after the last answer. */
  readonly epoch: number;
  /** When the app began its commit, and when that was done. */
  readonly begunMs: number;
  readonly doneMs: number;
  /** When `replica` durability was asked for; undefined when it was not confirmed. */
  readonly acknowledgedSinceMs: number | undefined;
};

/** A write that a door has answered as one that is at another candidate. */
export type Confirmed = { readonly door: string; readonly atMs: number };

/** What a session saw last, and was later told to be no more. */
export type Abandoned = { readonly session: string; readonly value: string; readonly why: string };

type Interval = { readonly node: string; readonly fromMs: number; untilMs: number };

/** A node that goes on after a freeze needs a moment to find out; what its app writes until then is not let through. */
const thawMs = 1_000;
const wrongsMax = 20;

/** What all clients of a run have seen. */
export class History {
  readonly acknowledged = new Map<string, Commit>();
  /** By value. */
  readonly confirmedByDoor = new Map<string, Confirmed>();
  /** Values of which a door has said that they were not written. */
  readonly refusedByDoor = new Set<string>();
  readonly commits: Commit[] = [];
  readonly abandoned: Abandoned[] = [];
  /** What must not be, in words. */
  readonly wrongs: string[] = [];
  readonly #frozen: Interval[] = [];
  written = 0;
  reads = 0;
  writtenByDoor = 0;
  readsByDoor = 0;

  committed(commit: Commit): void {
    this.commits.push(commit);
    if (commit.acknowledgedSinceMs !== undefined) this.acknowledged.set(commit.value, commit);
  }

  /** Whether it may never be missing from now on. */
  isPromised(value: string): boolean {
    return this.acknowledged.has(value) || this.confirmedByDoor.has(value);
  }

  wrong(what: string): void {
    if (this.wrongs.length < wrongsMax) this.wrongs.push(what);
  }

  /** Call the result when it goes on. */
  froze(node: string): () => void {
    const interval: Interval = { node, fromMs: nowMs(), untilMs: Number.POSITIVE_INFINITY };
    this.#frozen.push(interval);
    return () => {
      interval.untilMs = nowMs() + thawMs;
    };
  }

  /** Adds what is only seen when all is known: two that led at once, and what was acknowledged and then taken back. */
  conclude(): void {
    for (const { session, value, why } of this.abandoned) {
      if (this.isPromised(value))
        this.wrong(`${session} saw ${value}, which was acknowledged, and then not any more: ${why}`);
    }
    this.#checkNodesOfEpochs();
    this.#checkOrderOfEpochs();
  }

  #checkNodesOfEpochs(): void {
    const nodes = new Map<number, Commit>();
    for (const commit of this.commits) {
      const first = nodes.get(commit.epoch) ?? commit;
      nodes.set(commit.epoch, first);
      if (first.node !== commit.node)
        this.wrong(
          `${first.node} and ${commit.node} both committed in epoch ${commit.epoch}: ${first.value}, ${commit.value}`,
        );
    }
  }

  /** Once a node has committed in an epoch, none of an earlier one may commit any more, or confirm. */
  #checkOrderOfEpochs(): void {
    const epochs = [...new Set(this.commits.map(({ epoch }) => epoch))].sort((one, other) => other - one);
    let next: Commit | undefined;
    for (const epoch of epochs) {
      const own = this.commits.filter((commit) => commit.epoch === epoch);
      for (const commit of own) {
        if (next && this.#isAfter(commit, next)) {
          this.wrong(
            `${commit.node} committed ${commit.value} in epoch ${epoch}, ${Math.round(commit.begunMs - next.doneMs)} ms after ${next.node} had committed in epoch ${next.epoch}${commit.acknowledgedSinceMs === undefined ? '' : ', and confirmed it'}`,
          );
        }
      }
      const first = own.reduce((one, other) => (other.doneMs < one.doneMs ? other : one));
      if (!next || first.doneMs < next.doneMs) next = first;
    }
  }

  #isAfter({ node, begunMs, acknowledgedSinceMs }: Commit, next: Commit): boolean {
    if (acknowledgedSinceMs !== undefined && acknowledgedSinceMs > next.doneMs) return true;
    const isFrozen = this.#frozen.some(
      (interval) => interval.node === node && begunMs >= interval.fromMs && begunMs < interval.untilMs,
    );
    return begunMs > next.doneMs && !isFrozen;
  }
}

/** CLOCK_MONOTONIC, ms: the same for all processes of the machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
