import { SkeinError } from '../base/errors.ts';
import { dottedOf, flagOf, type Key, variableOf } from './schema.ts';

/** Where a value was given. `place` is "skein.toml:3". */
export type Source =
  | { readonly kind: 'file'; readonly place: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'flag'; readonly name: string };

/** A value as it was given, not checked yet. */
export type Given = {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly source: Source;
  /** The value holds something from a variable, which may be secret. */
  readonly expanded: boolean;
};

export function givenByVariable(path: readonly string[], name: string, value: string): Given {
  return { path, value, source: { kind: 'variable', name }, expanded: false };
}

export function givenByFlag(path: readonly string[], name: string, value: string): Given {
  return { path, value, source: { kind: 'flag', name: `--${name}` }, expanded: false };
}

/** How a message names a given value: "skein.toml:3: database.dir", "SKEIN_DATABASE_DIR", "--database-dir". */
export function nameOf(given: Given): string {
  const { source } = given;
  return source.kind === 'file' ? `${source.place}: ${dottedOf(given.path)}` : source.name;
}

export function sourceText(source: Source | undefined): string {
  if (source === undefined) return 'default';
  return source.kind === 'file' ? source.place : `${source.kind} ${source.name}`;
}

/** The checked value of a key, or undefined if it was not given. Throws CONFIG_INVALID. */
export function readKey<T>(key: Key<T>, givens: ReadonlyMap<string, Given>): T | undefined {
  const given = givens.get(dottedOf(key.path));
  if (given === undefined) return undefined;
  const result = key.value.safeParse(given.value);
  if (result.success) return result.data;
  const found = key.isSecret === true ? withoutContent(given.value) : foundText(given.value);
  throw new SkeinError('CONFIG_INVALID', `${nameOf(given)} is ${found}; allowed: ${key.allowed}.`);
}

/** A value as a message shows it, cut to one short line. */
export function foundText(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  }
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a date';
  return typeof value === 'object' ? 'a table' : String(value);
}

function withoutContent(value: unknown): string {
  if (typeof value !== 'string') return `${Array.isArray(value) ? 'array' : typeof value}, not a text`;
  return `a text of ${value.length} characters that is not shown`;
}

/** "name it so" for one who has to give a key: all three ways. */
export function waysToGive(path: readonly string[]): string {
  const section = path.length > 1 ? ` of [${path.slice(0, -1).join('.')}]` : '';
  return `key ${path.at(-1)}${section}, ${variableOf(path)} or --${flagOf(path)}`;
}
