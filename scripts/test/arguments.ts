import { globSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';

const folders = ['src', 'test', 'examples', 'scripts', 'bench'];
/** Runs of many minutes; only on request, by `npm test -- test/soak`. */
const soakFolder = 'test/soak/';

/** Parts flags for the test runner from paths. Paths count from `directory` and come out relative to `root`. */
export function readArguments(
  args: readonly string[],
  directory: string,
  root: string,
): { flags: string[]; prefixes: string[] } {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const prefixes = args
    .filter((arg) => !arg.startsWith('-'))
    .map((arg) => relative(root, resolve(directory, arg)).split(sep).join('/'));
  return { flags, prefixes };
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
