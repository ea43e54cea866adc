import { SkeinError } from '../base/errors.ts';
import { type ConfigFile, isTable, type Table } from './config-file.ts';
import { expand } from './expand.ts';
import { nearest } from './nearest.ts';
import { nodeVariableNames } from './node-variables.ts';
import { acceptedPaths, dottedOf, keyList, openSections, processFields } from './schema.ts';
import { foundText, type Given } from './setting.ts';

const keysByPath = new Map(keyList.map((key) => [dottedOf(key.path), key]));
const ownSections = new Set(keyList.flatMap(({ path }) => (path.length === 2 ? (path[0] ?? []) : [])));
const knownPaths = [...keysByPath.keys(), ...acceptedPaths];

/**
 * Every value of a configuration file that has a meaning, and the paths of those accepted without one.
 * Throws CONFIG_UNKNOWN_KEY, and CONFIG_INVALID for a wrong shape or a `$VARIABLE` that is not set.
 */
export function readFileKeys(
  file: ConfigFile,
  env: NodeJS.ProcessEnv,
): { givens: readonly Given[]; sections: readonly string[] } {
  const reader = new FileReader(file, env);
  reader.readRoot();
  return { givens: reader.givens, sections: reader.sections };
}

class FileReader {
  readonly givens: Given[] = [];
  readonly sections: string[] = [];
  readonly #file: ConfigFile;
  readonly #env: NodeJS.ProcessEnv;

  constructor(file: ConfigFile, env: NodeJS.ProcessEnv) {
    this.#file = file;
    this.#env = env;
  }

  readRoot(): void {
    for (const [name, value] of Object.entries(this.#file.table)) {
      if (name === 'env') this.#readEnv(value);
      else if (name === 'processes') this.#readProcesses(value);
      else if (ownSections.has(name)) this.#readSection(name, value);
      else this.#readKnown([name], value);
    }
  }

  #readSection(section: string, value: unknown): void {
    if (!isTable(value)) throw this.#invalid([section], value, `a section, [${section}]`);
    for (const [name, inner] of Object.entries(value)) this.#readKnown([section, name], inner);
  }

  #readKnown(path: readonly string[], value: unknown): void {
    const dotted = dottedOf(path);
    const key = keysByPath.get(dotted);
    if (key !== undefined) this.#give(path, value, path, key.isCommand !== true);
    else if (acceptedPaths.has(dotted)) this.sections.push(dotted);
    else throw this.#unknown(path);
  }

  /** A table, or as old fly.toml files have it, a list of tables. */
  #readEnv(value: unknown): void {
    const allowed = 'a section, [env], of names and texts';
    const tables = Array.isArray(value) ? value : [value];
    for (const [index, table] of tables.entries()) {
      if (!isTable(table)) throw this.#invalid(['env'], table, allowed);
      const at = Array.isArray(value) ? ['env', index] : ['env'];
      for (const [name, text] of Object.entries(table)) this.#give(['env', name], text, [...at, name], true);
    }
  }

  /** A table of commands or tables; or, as old fly.toml files have it, a list of tables with names. */
  #readProcesses(value: unknown): void {
    if (isTable(value)) {
      for (const [name, process] of Object.entries(value)) {
        if (isTable(process)) this.#readProcess(name, process, ['processes', name]);
        else this.#give(['processes', name, 'command'], process, ['processes', name], false);
      }
      return;
    }
    if (!Array.isArray(value)) throw this.#invalid(['processes'], value, 'a section, [processes]');
    for (const [index, process] of value.entries()) {
      const at = ['processes', index];
      if (!isTable(process)) throw this.#invalid(at, process, 'a table with a name and a command');
      const { name, ...rest } = process;
      if (typeof name !== 'string') throw this.#invalid([...at, 'name'], name, 'a text');
      this.#readProcess(name, rest, at);
    }
  }

  #readProcess(name: string, process: Table, at: readonly (string | number)[]): void {
    const fields: readonly string[] = processFields;
    for (const [field, value] of Object.entries(process)) {
      const path = ['processes', name, field];
      if (!fields.includes(field)) throw this.#unknown(path, [...at, field]);
      this.#give(path, value, [...at, field], field !== 'command');
    }
    if (process.command !== undefined) return;
    const what = `processes.${name} has no command. Add command = "…" to it.`;
    throw new SkeinError('CONFIG_INVALID', `${this.#file.placeOf(at)}: ${what}`);
  }

  #give(path: readonly string[], value: unknown, at: readonly (string | number)[], mayExpand: boolean): void {
    const place = this.#file.placeOf(at);
    const given = path[0] === 'env' ? nodeVariableNames : undefined;
    const expansion = typeof value === 'string' && mayExpand ? expand(value, this.#env, given) : undefined;
    if (expansion !== undefined && 'unset' in expansion) {
      const what = `${dottedOf(path)} uses $${expansion.unset}, which is not set`;
      const advice = `Set the variable ${expansion.unset}, or write $$ for a dollar sign.`;
      throw new SkeinError('CONFIG_INVALID', `${place}: ${what}. ${advice}`);
    }
    this.givens.push({
      path,
      value: expansion?.text ?? value,
      source: { kind: 'file', place },
      expanded: expansion?.expanded ?? false,
    });
  }

  #invalid(at: readonly (string | number)[], value: unknown, allowed: string): SkeinError {
    const found = value === undefined ? 'missing' : foundText(value);
    const what = `${at.join('.')} is ${found}; allowed: ${allowed}.`;
    return new SkeinError('CONFIG_INVALID', `${this.#file.placeOf(at)}: ${what}`);
  }

  #unknown(path: readonly string[], at: readonly (string | number)[] = path): SkeinError {
    const dotted = dottedOf(path);
    const parent = path.slice(0, -1);
    const siblings = siblingsOf(parent);
    // Near in the same section first; then the same name in another one.
    const sibling = nearest(path.at(-1) ?? '', siblings);
    const near = sibling === undefined ? nearest(dotted, knownPaths) : dottedOf([...parent, sibling]);
    const advice =
      near === undefined ? `Known here: ${siblings.join(', ')}.` : `The nearest known key is ${near}.`;
    return new SkeinError(
      'CONFIG_UNKNOWN_KEY',
      `${this.#file.placeOf(at)}: unknown key ${dotted}. ${advice}`,
    );
  }
}

function siblingsOf(parent: readonly string[]): readonly string[] {
  if (parent[0] === 'processes') return processFields;
  if (parent.length === 0) {
    return [...new Set([...knownPaths, ...openSections].map((path) => path.split('.')[0] ?? path))].sort();
  }
  const prefix = `${dottedOf(parent)}.`;
  return knownPaths.flatMap((path) => (path.startsWith(prefix) ? path.slice(prefix.length) : [])).sort();
}
