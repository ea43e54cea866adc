import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { TomlLines } from './toml-lines.ts';

export type Table = Readonly<Record<string, unknown>>;

/** A configuration file as TOML has it, nothing checked. */
export type ConfigFile = {
  readonly path: string;
  readonly dir: string;
  readonly table: Table;
  /** "skein.toml:12" for a key path, as messages show it. */
  readonly placeOf: (path: readonly (string | number)[]) => string;
};

const fileNames = ['skein.toml', 'fly.toml'] as const;
const fileBytesMax = 1024 ** 2;

/**
 * Reads the named file, or else the first of skein.toml and fly.toml that is in `cwd`; undefined if neither is.
 * Throws CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_INVALID.
 */
export function readConfigFile(named: string | undefined, cwd: string): ConfigFile | undefined {
  for (const candidate of named === undefined ? fileNames : [named]) {
    const path = resolve(cwd, candidate);
    const shown = shownPath(path, cwd);
    const text = readConfigText(path, shown, named === undefined);
    if (text === undefined) continue;
    const table = parseText(text, shown);
    const lines = new TomlLines(text);
    return { path, dir: dirname(path), table, placeOf: (keys) => `${shown}:${lines.lineOf(keys)}` };
  }
  return undefined;
}

/** Whether a TOML value is a table, and no array or date. */
export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** A path as messages show it: from here, if it is below. */
export function shownPath(path: string, cwd: string): string {
  const fromHere = relative(cwd, path);
  return fromHere.startsWith('..') || isAbsolute(fromHere) ? path : fromHere;
}

/** The text of a configuration file; undefined for one that `mayBeMissing` and is. Throws as `readConfigFile` does. */
export function readConfigText(path: string, shown: string, mayBeMissing: boolean): string | undefined {
  let bytes: Buffer;
  try {
    if (statSync(path).size > fileBytesMax) {
      throw new SkeinError('CONFIG_INVALID', `${shown} is larger than 1 MiB. Name a configuration file.`);
    }
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof SkeinError) throw error;
    if (systemCodeOf(error) === 'ENOENT') {
      if (mayBeMissing) return undefined;
      const message = `There is no file ${shown}. Name an existing one by --config or SKEIN_CONFIG.`;
      throw new SkeinError('CONFIG_NOT_FOUND', message);
    }
    const message = `${shown} cannot be read: ${messageOf(error)}. Make it a file that this user may read.`;
    throw new SkeinError('CONFIG_NOT_FOUND', message, { cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SkeinError('CONFIG_SYNTAX', `${shown} is not UTF-8 text. Save it as UTF-8.`, { cause: error });
  }
}

function parseText(text: string, shown: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The parser adds an excerpt after the first line; here one line has to say it.
    const what = error.message.split('\n')[0]?.replace('Invalid TOML document: ', '') ?? 'not TOML';
    const message = `${shown}:${error.line}:${error.column}: not valid TOML: ${what}.`;
    throw new SkeinError('CONFIG_SYNTAX', message, { cause: error });
  }
}
