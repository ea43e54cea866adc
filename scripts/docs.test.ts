import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../src/config/load-config.ts';

const root = resolve(import.meta.dirname, '..');
const pages = globSync(['*.md', 'docs/**/*.md', 'src/**/*.md', 'examples/**/*.md'], { cwd: root })
  .filter((path) => !path.includes('node_modules/'))
  .sort();

/** The lines of a page that are not inside a block of code. */
function prose(page: string): string[] {
  let inside = false;
  return page.split('\n').filter((line) => {
    if (line.startsWith('```')) inside = !inside;
    return !inside && !line.startsWith('```');
  });
}

/** The contents of all blocks of code in one language. */
function blocks(page: string, language: string): string[] {
  const found = page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'));
  return [...found].map((match) => match[1] ?? '');
}

/** The names under which a heading can be linked to, as the forges make them. */
function anchors(page: string): Set<string> {
  const headings = prose(page).flatMap((line) => /^#{1,6} (.+)$/.exec(line)?.[1] ?? []);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Link targets, of Markdown and of HTML, that are not addresses of the web. */
function localLinks(page: string): string[] {
  return prose(page)
    .flatMap((line) => [...line.matchAll(/\]\(([^)\s]+)\)|\b(?:src|href)="([^"]+)"/g)])
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}

test('every relative link leads to a file, and to a heading in it', () => {
  assert.ok(pages.includes('README.md') && pages.includes('docs/guarantees.md'));
  const broken: string[] = [];
  for (const path of pages) {
    for (const link of localLinks(readFileSync(join(root, path), 'utf8'))) {
      const [target = '', anchor] = link.split('#');
      const file = target === '' ? join(root, path) : resolve(root, dirname(path), target);
      const leads =
        existsSync(file) && (anchor === undefined || anchors(readFileSync(file, 'utf8')).has(anchor));
      if (!leads) broken.push(`${path}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('docs/api.md has a section for every endpoint of a node, and for no other', () => {
  const code = ['node', 'litefs-api']
    .map((name) => readFileSync(join(root, `src/node/${name}.ts`), 'utf8'))
    .join('\n');
  const routes = [...code.matchAll(/'((?:GET|POST|PUT|DELETE) \/[\w/-]+)'/g)].map((match) => match[1]);
  const page = readFileSync(join(root, 'docs/api.md'), 'utf8');
  const sections = [...page.matchAll(/^## ((?:GET|POST|PUT|DELETE) \/[\w/-]+)$/gm)].map((match) => match[1]);
  assert.ok(routes.length > 0);
  assert.deepEqual(sections.sort(), routes.sort());
});

test('docs/api.md names every metric, and no other', () => {
  const named = (...paths: readonly string[]) => {
    const texts = paths.map((path) => readFileSync(join(root, path), 'utf8')).join();
    return [...new Set(texts.match(/\b(?:skein|process)_[a-z]+_[a-z_]+\b/g))].sort();
  };
  assert.deepEqual(named('docs/api.md'), named('src/node/node-metrics.ts', 'src/node/bus-metrics.ts'));
});

test('every limit that ARCHITECTURE.md names is a constant in the file that it names', () => {
  const table = prose(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'));
  const missing: string[] = [];
  let constants = 0;
  for (const line of table.filter((row) => /^\|.*`src\/[^`]+\.ts` \|$/.test(row))) {
    const names = [...(line.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
    const files = names.filter((name) => name.startsWith('src/'));
    const code = files.map((file) => readFileSync(join(root, file), 'utf8')).join('');
    for (const name of names.filter((other) => /^\w+$/.test(other))) {
      constants += 1;
      if (!new RegExp(`\\b${name}\\b`).test(code)) missing.push(`${name} in ${files.join(', ')}`);
    }
  }
  assert.ok(constants > 20);
  assert.deepEqual(missing, []);
});

test('every example of a skein.toml is a valid configuration', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-docs-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const examples = pages.flatMap((path) =>
    blocks(readFileSync(join(root, path), 'utf8'), 'toml').map((text) => ({ path, text })),
  );
  assert.ok(examples.length >= 5);
  for (const { path, text } of examples) {
    const file = join(directory, 'skein.toml');
    writeFileSync(file, text);
    // What the pages around the examples say has to be given in variables.
    const env = {
      HOME: directory,
      CLUSTER_SECRET: 'a'.repeat(64),
      SKEIN_NODE_SECRET: 'a'.repeat(64),
      SKEIN_NODE_ADVERTISE: 'http://10.0.0.5:20202',
    };
    assert.doesNotThrow(
      () => loadConfig({ argv: ['--config', file], env, cwd: directory }),
      `${path}:\n${text}`,
    );
  }
});
