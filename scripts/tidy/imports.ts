import { posix } from 'node:path';
import type { Finding } from './finding.ts';
import { isTest } from './finding.ts';

/** The data path in order: each folder may import itself, earlier ones and `base`. */
const dataPath = ['sqlite', 'ltx', 'log', 'database', 'stream'];

/** An import or export that begins a line, over several lines too, and `import(…)` anywhere. */
const importPattern =
  /^(?:import|export)\s[^;'"]*?from\s*['"]([^'"\n]+)['"]|^import\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]/gm;

interface Import {
  line: number;
  specifier: string;
  /** Path from the root for a relative import; undefined for packages and `node:`. */
  target: string | undefined;
}

/** Rules on who imports whom in `src`, tests left out, and no circles between files anywhere. */
export function importFindings(texts: ReadonlyMap<string, string>): Finding[] {
  const findings: Finding[] = [];
  const graph = new Map<string, Import[]>();
  for (const [path, text] of texts) {
    if (!path.endsWith('.ts') || isTest(path)) continue;
    const imports = importsOf(path, text);
    graph.set(path, imports);
    for (const found of imports) {
      const advice = adviceFor(path, found);
      if (advice) findings.push({ path, line: found.line, rule: 'import-order', advice });
    }
  }
  return [...findings, ...circleFindings(graph)];
}

function importsOf(path: string, text: string): Import[] {
  const imports: Import[] = [];
  for (const match of text.matchAll(importPattern)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const line = text.slice(0, match.index + match[0].length).split('\n').length;
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
    imports.push({ line, specifier, target });
  }
  return imports;
}

function adviceFor(path: string, { specifier, target }: Import): string | undefined {
  if (!path.startsWith('src/')) return undefined;
  const folder = folderOf(path);
  if (target === undefined) {
    if ((folder === 'base' || folder === 'client') && !specifier.startsWith('node:')) {
      return `src/${folder} imports only node: modules and itself, not ${specifier}`;
    }
    return undefined;
  }
  const other = folderOf(target);
  if (other === folder || target === 'package.json') return undefined;
  if (!target.startsWith('src/')) return `src imports nothing outside src, not ${target}`;
  if (folder === 'base') return `src/base imports only node: modules and itself, not ${target}`;
  if (folder === 'client') return `src/client imports nothing outside itself, not ${target}`;
  if (other === 'cli') return `nothing imports src/cli: move what is shared out of ${target}`;
  const place = dataPath.indexOf(folder);
  if (place >= 0 && other !== 'base' && !dataPath.slice(0, place).includes(other)) {
    const allowed = ['base', ...dataPath.slice(0, place)].join(', ');
    return `src/${folder} imports only itself and ${allowed}, not ${target}`;
  }
  return undefined;
}

function folderOf(path: string): string {
  return path.startsWith('src/') ? (path.split('/')[1] ?? '') : '';
}

/** Depth first; each circle is told once, at the import that closes it. */
function circleFindings(graph: ReadonlyMap<string, readonly Import[]>): Finding[] {
  const findings: Finding[] = [];
  const done = new Set<string>();
  const trail: string[] = [];

  function visit(path: string): void {
    trail.push(path);
    for (const { line, target } of graph.get(path) ?? []) {
      if (target === undefined || done.has(target) || !graph.has(target)) continue;
      const start = trail.indexOf(target);
      if (start < 0) {
        visit(target);
        continue;
      }
      const circle = [...trail.slice(start), target].join(' > ');
      findings.push({ path, line, rule: 'circular-import', advice: `break the circle ${circle}` });
    }
    trail.pop();
    done.add(path);
  }

  for (const path of graph.keys()) if (!done.has(path)) visit(path);
  return findings;
}
