import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { contentFindings } from './tidy/content.ts';
import type { Finding } from './tidy/finding.ts';
import { importFindings } from './tidy/imports.ts';
import { nameFindings } from './tidy/names.ts';

/**
 * The layout and size rules that a linter does not know, over every file that git tracks or would track.
 * Prints one line per finding, `file:line rule: what to do`, and exits 1 if there is one.
 */
const root = resolve(import.meta.dirname, '..');
const paths = repositoryPaths();
const texts = new Map<string, string>();
for (const path of paths) {
  const bytes = readFileSync(resolve(root, path));
  if (!bytes.includes(0)) texts.set(path, bytes.toString('utf8'));
}

const findings: Finding[] = [...nameFindings(paths), ...importFindings(texts)];
for (const [path, text] of texts) findings.push(...contentFindings(path, text));
findings.sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line);

for (const { path, line, rule, advice } of findings) console.log(`${path}:${line} ${rule}: ${advice}`);
console.log(`tidy: ${paths.length} files, ${findings.length} findings`);
process.exitCode = findings.length > 0 ? 1 : 0;

function repositoryPaths(): string[] {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (listed.status !== 0) {
    throw new Error(`git ls-files failed, tidy needs a git checkout: ${listed.stderr || listed.error}`);
  }
  // A file that was removed but not yet committed is still listed.
  return listed.stdout.split('\0').filter((path) => path !== '' && existsSync(resolve(root, path)));
}
