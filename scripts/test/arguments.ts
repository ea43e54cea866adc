import { globSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';

const folders = ['src', 'test', 'examples', 'scripts', 'bench'];
/** Runs of many minutes; only on request, by `npm test -- test/soak`. */
const soakFolder = 'test/soak/';
const faultRun = 'test/soak/faults';

/** What the run of faults is told: texts as they were given, checked there. */
export type FaultArguments = { readonly seed: string | undefined; readonly minutes: string | undefined };

/**
 * Parts flags for the test runner, and `--seed N --minutes M` for the run of faults, from paths. Paths count from `directory`
 * and come out relative to `root`; with a seed or minutes they are that of the run of faults.
 */
export function readArguments(
  args: readonly string[],
  directory: string,
  root: string,
): { flags: string[]; prefixes: string[]; faults: FaultArguments } {
  const rest = args.flatMap((arg) => (/^--(?:seed|minutes)=/.test(arg) ? arg.split('=') : [arg]));
  const faults = { seed: takeOption(rest, '--seed'), minutes: takeOption(rest, '--minutes') };
  const flags = rest.filter((arg) => arg.startsWith('-'));
  if (faults.seed !== undefined || faults.minutes !== undefined)
    return { flags, prefixes: [faultRun], faults };
  const prefixes = rest
    .filter((arg) => !arg.startsWith('-'))
    .map((arg) => relative(root, resolve(directory, arg)).split(sep).join('/'));
  return { flags, prefixes, faults };
}

/** Removes an option and its value; undefined when it is not there. */
function takeOption(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}

/** All test files, sorted, or those whose path begins with a prefix. */
export function selectTestFiles(root: string, prefixes: readonly string[]): string[] {
  const wantsSoak = prefixes.some((prefix) => `${prefix}/`.startsWith(soakFolder));
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root }))
    .map((path) => path.split(sep).join('/'))
    .filter((path) => !path.includes('node_modules/'))
    .filter((path) => wantsSoak || !path.startsWith(soakFolder))
    .filter((path) => prefixes.length === 0 || prefixes.some((prefix) => path.startsWith(prefix)))
    .sort();
}
