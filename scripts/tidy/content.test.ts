import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentFindings } from './content.ts';

function rulesFor(path: string, text: string): string[] {
  return contentFindings(path, text).map(({ line, rule }) => `${line} ${rule}`);
}

test('a TypeScript file may have 400 lines and no more', () => {
  assert.deepEqual(rulesFor('src/log/a.ts', 'a;\n'.repeat(400)), []);
  assert.deepEqual(rulesFor('src/log/a.ts', 'a;\n'.repeat(401)), ['401 file-size']);
  assert.deepEqual(rulesFor('docs/a.md', 'a\n'.repeat(401)), []);
});

test('notes to self are found in any file', () => {
  assert.deepEqual(rulesFor('docs/a.md', `one\n${'TO'}${'DO'}: two\n`), ['2 note-to-self']);
});

test('paths of one machine are found, and paths that only look alike are not', () => {
  const slash = '/';
  for (const path of ['work', 'work/main', 'root/.npmrc', 'tmp/skein']) {
    assert.deepEqual(rulesFor('docs/a.md', `see ${slash}${path}`), ['1 machine-path'], path);
  }
  for (const path of ['/worker', './tmp/a', 'node/root/a', '/var/tmp/a', '/working-copy', '$HOME/work']) {
    assert.deepEqual(rulesFor('docs/a.md', `see ${path}`), [], path);
  }
});

test('a test that is alone or skipped without a reason is found', () => {
  const text = [
    `test${'.only'}('a', run);`,
    `test${'.skip'}('b', run);`,
    `test('c', { skip${': true'} }, run);`,
  ];
  assert.deepEqual(rulesFor('src/log/a.test.ts', text.join('\n')), [
    '1 only',
    '2 skip-reason',
    '3 skip-reason',
  ]);
  assert.deepEqual(rulesFor('src/log/a.test.ts', "test('a', { skip: 'needs root' }, run);"), []);
});
