import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Figure, Section, Target } from './result.ts';
import { median } from './samples.ts';

export type MeasureContext = {
  /** For databases and nodes; on a real disk, since what `fsync` costs is part of the figures. */
  readonly directory: string;
  /** Fewer and shorter rounds, and a small database for the syncs. */
  readonly quick: boolean;
  /** Tells what is being done now. */
  progress(text: string): void;
};

export type Measure = {
  readonly id: string;
  run(context: MeasureContext): Promise<Section>;
};

type FigureName = {
  readonly id: string;
  readonly label: string;
  readonly unit: string;
  readonly target?: Target;
};

/** The figure of several rounds. */
export function figureOf(name: FigureName, rounds: readonly number[]): Figure {
  const figure = { ...name, value: median(rounds) };
  return rounds.length === 1 ? figure : { ...figure, min: Math.min(...rounds), max: Math.max(...rounds) };
}

/** Waits until nothing is left to be written to disk, so that one round does not pay for the one before. */
export async function settleDisk(): Promise<void> {
  await promisify(execFile)('sync');
}
