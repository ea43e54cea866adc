import { SkeinError } from '../base/errors.ts';
import type { ProcessConfig } from './config.ts';
import { fillPlaceholders } from './node-variables.ts';
import { dottedOf } from './schema.ts';
import { foundText, type Given, nameOf } from './setting.ts';

type Givens = ReadonlyMap<string, Given>;

/** The environment of [env], with what the node tells by `told`. Numbers and booleans become texts. Throws CONFIG_INVALID. */
export function readEnvSection(
  givens: Givens,
  told: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  for (const given of givens.values()) {
    const [section, name = ''] = given.path;
    if (section !== 'env') continue;
    if (!/^[^=\0\s]+$/.test(name))
      throw invalid(given, `has the name ${foundText(name)}`, 'names without = and spaces');
    if (name.startsWith('FLY_')) {
      throw invalid(
        given,
        'begins with FLY_, as only the names that the node itself gives do',
        'another name',
      );
    }
    entries.push([name, envText(given, told)]);
  }
  return Object.freeze(Object.fromEntries(entries));
}

function envText(given: Given, told: Readonly<Record<string, string>>): string {
  const value = typeof given.value === 'string' ? fillPlaceholders(given.value, told) : given.value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string')
    throw invalid(given, `is ${foundText(value)}`, 'a text, a number, true or false');
  if (value.includes('\0')) throw invalid(given, 'contains a NUL', 'a text without one');
  return value;
}

/** The processes of [processes], in the order given. Throws CONFIG_INVALID. */
export function readProcessesSection(givens: Givens): readonly ProcessConfig[] {
  const processes: ProcessConfig[] = [];
  for (const given of givens.values()) {
    const [section, name = '', field] = given.path;
    if (section !== 'processes') continue;
    const command = givens.get(dottedOf([section, name, 'command']));
    if (command === undefined) {
      const what = `${nameOf(given)} is about a process "${name}" that has no command. Give it one in [processes].`;
      throw new SkeinError('CONFIG_INVALID', what);
    }
    if (field !== 'command') continue;
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(name)) {
      throw invalid(given, `has the name ${foundText(name)}`, '1 to 63 letters, digits, _ and -');
    }
    processes.push({
      name,
      command: commandText(command),
      on: whereToRun(givens.get(dottedOf([section, name, 'on']))),
    });
  }
  return processes;
}

function commandText(given: Given): string {
  const { value } = given;
  if (typeof value === 'string' && value.trim() !== '' && !value.includes('\0')) return value;
  throw invalid(given, `is ${foundText(value)}`, 'a shell command');
}

function whereToRun(given: Given | undefined): ProcessConfig['on'] {
  if (given === undefined) return 'all';
  if (given.value === 'all' || given.value === 'primary') return given.value;
  throw invalid(given, `is ${foundText(given.value)}`, 'all, primary');
}

function invalid(given: Given, what: string, allowed: string): SkeinError {
  return new SkeinError('CONFIG_INVALID', `${nameOf(given)} ${what}; allowed: ${allowed}.`);
}
