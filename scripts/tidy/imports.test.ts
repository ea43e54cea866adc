import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importFindings } from './imports.ts';

function findingsFor(files: Record<string, string>): string[] {
  return importFindings(new Map(Object.entries(files))).map(
    ({ path, line, rule }) => `${path}:${line} ${rule}`,
  );
}

test('a data-path folder may import earlier folders, itself, base and packages', () => {
  const text = [
    "import { a } from '../sqlite/a.ts';",
    "import type { b } from '../ltx/b.ts';",
    "import { c } from './c.ts';",
    "import { d } from '../base/d.ts';",
    "import { compress } from 'lz4-napi';",
  ].join('\n');
  assert.deepEqual(findingsFor({ 'src/log/log.ts': text }), []);
});

test('a data-path folder may not import a later folder, or one that is not on the path', () => {
  assert.deepEqual(
    findingsFor({
      'src/ltx/a.ts': "import {\n  one,\n  two,\n} from '../log/log.ts';",
      'src/log/a.ts': "export { config } from '../config/config.ts';",
      'src/sqlite/a.ts': "const later = await import('../stream/a.ts');",
    }),
    ['src/ltx/a.ts:4 import-order', 'src/log/a.ts:1 import-order', 'src/sqlite/a.ts:1 import-order'],
  );
});

test('base and client import nothing but node: modules and themselves', () => {
  assert.deepEqual(
    findingsFor({
      'src/base/a.ts': "import 'pino';\nimport { join } from 'node:path';\nimport { b } from './b.ts';",
      'src/client/a.ts': "import { b } from '../base/b.ts';",
    }),
    ['src/base/a.ts:1 import-order', 'src/client/a.ts:1 import-order'],
  );
});

test('nothing imports cli, and src imports nothing outside src but package.json', () => {
  assert.deepEqual(
    findingsFor({
      'src/node/a.ts': "import { b } from '../cli/b.ts';",
      'src/node/c.ts': "import { d } from '../../test/d.ts';",
      'src/cli/version.ts': "import about from '../../package.json' with { type: 'json' };",
    }),
    ['src/node/a.ts:1 import-order', 'src/node/c.ts:1 import-order'],
  );
});

test('tests may import anything', () => {
  assert.deepEqual(findingsFor({ 'src/ltx/a.test.ts': "import { b } from '../stream/b.ts';" }), []);
});

test('a circle of imports is told once, with the whole way round', () => {
  const texts = new Map([
    ['src/node/a.ts', "import { b } from './b.ts';"],
    ['src/node/b.ts', "\nimport { c } from './c.ts';"],
    ['src/node/c.ts', "import { a } from './a.ts';"],
    ['src/node/d.ts', "import { a } from './a.ts';"],
  ]);
  assert.deepEqual(importFindings(texts), [
    {
      path: 'src/node/c.ts',
      line: 1,
      rule: 'circular-import',
      advice: 'break the circle src/node/a.ts > src/node/b.ts > src/node/c.ts > src/node/a.ts',
    },
  ]);
});
