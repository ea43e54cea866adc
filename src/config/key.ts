import { z } from 'zod';
import type { Config } from './config.ts';
import { parseDurationMs } from './duration.ts';

/**
 * One key of the configuration. The table in schema.ts is all there is to know about it: files, variables, flags, checks,
 * `skein config check`, `skein help run` and the reference in docs/configuration.md are made from it.
 */
export type Key<T> = {
  readonly path: readonly string[];
  /** Takes what TOML gives, or the text of a variable or flag. */
  readonly value: z.ZodType<T>;
  /** What the value may be, for messages and the reference. */
  readonly allowed: string;
  /** The default in words; empty where there is none. */
  readonly fallback: string;
  readonly about: string;
  /** The value in force, as one would write it; undefined if there is none. */
  readonly effective: (config: Config) => string | undefined;
  /** A command: the shell expands its variables when it runs. */
  readonly isCommand?: boolean;
  readonly isSecret?: boolean;
};

export function key<T>(dotted: string, rest: Omit<Key<T>, 'path'>): Key<T> {
  return { path: dotted.split('.'), ...rest };
}

/** A value that `parse` understands from a number or a text, undefined being a refusal. */
export function parsed<T>(parse: (value: number | string) => T | undefined): z.ZodType<T> {
  return z.union([z.number(), z.string()]).transform((value, context): T => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: 'not understood' });
    return z.NEVER;
  });
}

export function durationWithin(leastMs: number, mostMs: number): z.ZodType<number> {
  return parsed(parseDurationMs).refine((ms) => ms >= leastMs && ms <= mostMs);
}
