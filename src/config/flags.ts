import { parseArgs } from 'node:util';
import { SkeinError } from '../base/errors.ts';
import { nearest } from './nearest.ts';
import { flagOf, keyList } from './schema.ts';

export type Flags = {
  /** By name without dashes; a flag without a value is an empty text. */
  readonly values: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
  /** What came after `--`, or undefined without one. */
  readonly command: readonly string[] | undefined;
};

/** The flags of the configuration. Each takes a value. */
export const configFlags: ReadonlySet<string> = new Set([
  'config',
  ...keyList.map(({ path }) => flagOf(path)),
]);

/** Flags whose last part the user chooses: `--env-NAME` and `--processes-NAME`. */
const openFlag = /^(?:env|processes)-./;

export function isConfigFlag(name: string): boolean {
  return configFlags.has(name) || openFlag.test(name);
}

/**
 * Splits a command line into configuration flags, the flags named in `switches` (without a value) and in `texts`
 * (with one), positionals, and what follows `--`. Of a flag given twice the last counts. Throws USAGE.
 */
export function parseFlags(
  argv: readonly string[],
  switches: readonly string[] = [],
  texts: readonly string[] = [],
): Flags {
  const end = argv.indexOf('--');
  const ours = end === -1 ? [...argv] : argv.slice(0, end);
  const open = ours.flatMap((argument) => /^--((?:env|processes)-[^=]+)/.exec(argument)?.[1] ?? []);
  const withValue = new Set([...configFlags, ...texts, ...open]);
  const { tokens } = parseArgs({
    args: ours,
    options: {
      ...Object.fromEntries([...withValue].map((name) => [name, { type: 'string' } as const])),
      ...Object.fromEntries(switches.map((name) => [name, { type: 'boolean' } as const])),
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    if (withValue.has(name)) values.set(name, checkedValue(rawName, value, inlineValue === true));
    else if (!switches.includes(name)) throw unknownFlag(rawName, [...withValue, ...switches]);
    else if (value !== undefined)
      throw new SkeinError('USAGE', `${rawName} takes no value. Leave out "${value}".`);
    else values.set(name, '');
  }
  return { values, positionals, command: end === -1 ? undefined : argv.slice(end + 1) };
}

function checkedValue(rawName: string, value: string | undefined, isInline: boolean): string {
  if (value === undefined) throw new SkeinError('USAGE', `${rawName} needs a value: ${rawName} VALUE.`);
  if (isInline || !/^-./.test(value)) return value;
  throw new SkeinError(
    'USAGE',
    `${rawName} needs a value. If "${value}" is meant, write ${rawName}=${value}.`,
  );
}

function unknownFlag(rawName: string, names: readonly string[]): SkeinError {
  const near = nearest(rawName.replace(/^-+/, ''), names);
  const advice =
    near === undefined ? '`skein help VERB` lists the flags of a verb.' : `The nearest is --${near}.`;
  return new SkeinError('USAGE', `There is no flag ${rawName}. ${advice}`);
}
