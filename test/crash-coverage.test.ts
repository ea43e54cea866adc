import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function textOf(pattern: string): string {
  return globSync(pattern, { cwd: root })
    .map((file) => readFileSync(root + file, 'utf8'))
    .join('\n');
}

test('at every failpoint of the code some test has the process die', () => {
  const names = [...textOf('src/**/!(*.test).ts').matchAll(/failpoint\('([^']+)'\)/g)].map(
    ([, name]) => name,
  );
  const tests = textOf('test/crash-*.test.ts');
  assert.ok(names.length > 10, `${names.length} failpoints`);
  assert.deepEqual(
    names.filter((name) => !tests.includes(`'${name}'`)),
    [],
  );
});
