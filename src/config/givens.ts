import { SkeinError } from '../base/errors.ts';
import type { ConfigFile } from './config-file.ts';
import { readFileKeys } from './file-keys.ts';
import type { Flags } from './flags.ts';
import { nearest } from './nearest.ts';
import { dottedOf, flagOf, foreignVariable, keyList, variableOf } from './schema.ts';
import { type Given, givenByFlag, givenByVariable } from './setting.ts';

const pathsByVariable = new Map(keyList.map(({ path }) => [variableOf(path), path]));
const pathsByFlag = new Map(keyList.map(({ path }) => [flagOf(path), path]));

/** All that was given, by dotted key: the file first, then variables, then flags, later ones in the place of earlier. */
export class Givens {
  readonly byKey = new Map<string, Given>();

  #add(given: Given): void {
    this.byKey.set(dottedOf(given.path), given);
  }

  /** Returns the sections without a meaning. Throws CONFIG_UNKNOWN_KEY, CONFIG_INVALID. */
  addFile(file: ConfigFile, env: NodeJS.ProcessEnv): readonly string[] {
    const { givens, sections } = readFileKeys(file, env);
    for (const given of givens) this.#add(given);
    return sections;
  }

  /** What a litefs.yml has become. */
  addLiteFs(givens: readonly Given[]): void {
    for (const given of givens) this.#add(given);
  }

  /** An empty variable counts as not set. Throws CONFIG_UNKNOWN_KEY for one that looks like a misspelt key. */
  addVariables(env: NodeJS.ProcessEnv): void {
    for (const name of Object.keys(env).sort()) {
      const value = env[name];
      if (!name.startsWith('SKEIN_') || name === 'SKEIN_CONFIG' || foreignVariable.test(name)) continue;
      if (value === undefined || value === '') continue;
      const rest = name.slice('SKEIN_'.length);
      const path =
        pathsByVariable.get(name) ?? this.#envPath(/^ENV_(.+)/.exec(rest)?.[1]) ?? this.#processPath(rest);
      if (path !== undefined) this.#add(givenByVariable(path, name, value));
      else refuseMisspelt(name);
    }
  }

  /** Flags that are no keys, such as --config, are left to the caller. */
  addFlags(flags: Flags): void {
    for (const [name, value] of flags.values) {
      const variable = canonical(/^env-(.+)/.exec(name)?.[1] ?? '');
      const path = pathsByFlag.get(name) ?? this.#envPath(variable) ?? this.#processPath(name);
      if (path !== undefined) this.#add(givenByFlag(path, name, value));
    }
  }

  #envPath(name: string | undefined): readonly string[] | undefined {
    return name === undefined || name === '' ? undefined : ['env', this.#spelling('env', name)];
  }

  /** The path that PROCESSES_NAME or processes-name stands for, with or without the field at its end. */
  #processPath(text: string): readonly string[] | undefined {
    const process = /^processes[_-](.+)$/i.exec(text)?.[1]?.toLowerCase();
    if (process === undefined) return undefined;
    const known = this.#spelling('processes', process);
    const [, owner, field] = /^(.+)[_-](on|command)$/.exec(process) ?? [];
    const isWhole = owner === undefined || field === undefined || this.#names('processes').includes(known);
    return isWhole
      ? ['processes', known, 'command']
      : ['processes', this.#spelling('processes', owner), field];
  }

  /**
   * The name as it was first given: SKEIN_PROCESSES_MY_JOB changes `my-job` of the file, because a variable cannot say
   * it otherwise. The same spelling goes first, as http_proxy and HTTP_PROXY may both be there.
   */
  #spelling(section: string, name: string): string {
    const names = this.#names(section);
    if (names.includes(name)) return name;
    return names.find((other) => canonical(other) === canonical(name)) ?? name;
  }

  #names(section: string): readonly string[] {
    return [...this.byKey.values()].flatMap(({ path }) => (path[0] === section ? (path[1] ?? []) : []));
  }
}

function canonical(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

function refuseMisspelt(name: string): void {
  const known = [...pathsByVariable.keys(), 'SKEIN_CONFIG'].map((variable) =>
    variable.slice('SKEIN_'.length),
  );
  const near = nearest(name.slice('SKEIN_'.length), known);
  if (near === undefined) return;
  const what = `Unknown variable ${name}. The nearest known one is SKEIN_${near}.`;
  throw new SkeinError('CONFIG_UNKNOWN_KEY', what);
}
