import { posix } from 'node:path';
import type { Finding } from './finding.ts';

const sourceFolders = [
  'archive',
  'base',
  'bus',
  'cli',
  'client',
  'config',
  'dashboard',
  'database',
  'door',
  'edge',
  'lease',
  'log',
  'ltx',
  'node',
  'platform',
  'sqlite',
  'stream',
  'supervisor',
  'world',
];

const kebabCase = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/;
const namedByOthers = /^([A-Z]+(\.md)?|Dockerfile|Procfile|Gemfile|_journal\.json|.*\.(py|rb|ex|exs))$/;
const emptyWord = /^(utils?|helpers?|managers?|common|misc)$/;

/** Rules on names and places: kebab-case, no empty words, known folders in `src`, tests beside their source. */
export function nameFindings(paths: readonly string[]): Finding[] {
  const known = new Set(paths);
  return paths.flatMap((path) => [
    ...spellingFindings(path),
    ...(path.startsWith('src/') ? sourceFindings(path, known) : []),
  ]);
}

function spellingFindings(path: string): Finding[] {
  const findings: Finding[] = [];
  for (const part of path.split('/')) {
    if (part.startsWith('.') || namedByOthers.test(part)) continue;
    if (!kebabCase.test(part)) {
      findings.push({ path, line: 1, rule: 'kebab-case', advice: `rename ${part}, as in wal-reader.ts` });
    }
    const lastWord = part.split('.')[0]?.split('-').at(-1) ?? '';
    if (emptyWord.test(lastWord)) {
      findings.push({ path, line: 1, rule: 'empty-name', advice: `name ${part} after what it holds` });
    }
  }
  return findings;
}

function sourceFindings(path: string, known: ReadonlySet<string>): Finding[] {
  const findings: Finding[] = [];
  const parts = path.split('/');
  if (parts.length < 3 || !sourceFolders.includes(parts[1] ?? '')) {
    const advice = `move it into one of src's folders: ${sourceFolders.join(', ')}`;
    findings.push({ path, line: 1, rule: 'layout', advice });
  }
  if (path.endsWith('.test.ts') && !hasSourceBeside(path, known)) {
    const advice = `put it beside its source and name it after that, or move it to test/`;
    findings.push({ path, line: 1, rule: 'test-place', advice });
  }
  return findings;
}

/** `wal-reader-crash.test.ts` belongs to `wal-reader.ts`: a source may have several test files. */
function hasSourceBeside(testPath: string, known: ReadonlySet<string>): boolean {
  const words = posix.basename(testPath, '.test.ts').split('-');
  for (let count = words.length; count > 0; count--) {
    if (known.has(`${posix.dirname(testPath)}/${words.slice(0, count).join('-')}.ts`)) return true;
  }
  return false;
}
