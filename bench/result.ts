/** What a figure must reach: at least or at most a value, in the figure's own unit. */
export type Target = { readonly bound: 'at least' | 'at most'; readonly value: number };

/** One number of the report: the median of several rounds, with the lowest and the highest. */
export type Figure = {
  /** Stable, for programs: `inserts.normal.one-replica.ratio`. */
  readonly id: string;
  readonly label: string;
  readonly value: number;
  readonly unit: string;
  readonly min?: number;
  readonly max?: number;
  readonly target?: Target;
};

/** The figures of one measure. */
export type Section = {
  readonly id: string;
  readonly title: string;
  /** How it was measured, in a line or two. */
  readonly about: string;
  readonly figures: readonly Figure[];
};

export type Report = {
  readonly takenAt: string;
  readonly quick: boolean;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly kernel: string;
    readonly node: string;
    readonly sqlite: string;
    /** Processes that wanted a core before the run began: above zero, others were at work. */
    readonly loadBefore: number;
  };
  readonly sections: readonly Section[];
};

export function isMet({ value, target }: Figure): boolean | undefined {
  if (!target) return undefined;
  return target.bound === 'at least' ? value >= target.value : value <= target.value;
}

/** The figure with this id; undefined when the measure was not run. */
export function findFigure(report: Report, id: string): Figure | undefined {
  return report.sections.flatMap(({ figures }) => figures).find((figure) => figure.id === id);
}
