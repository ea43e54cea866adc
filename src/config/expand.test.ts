import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expand } from './expand.ts';

const env = { HOME: '/home/ada', EMPTY: '', DOLLAR: '$HOME' };

test('variables are replaced with and without braces, once', () => {
  assert.deepEqual(expand('$HOME/data', env), { text: '/home/ada/data', expanded: true });
  assert.deepEqual(expand(`\${HOME}x`, env), { text: '/home/adax', expanded: true });
  assert.deepEqual(expand('[$EMPTY]', env), { text: '[]', expanded: true });
  assert.deepEqual(expand('$DOLLAR', env), { text: '$HOME', expanded: true });
});

test('two dollars are one, and a dollar before no name stays', () => {
  assert.deepEqual(expand('$$HOME costs $5 or $', env), { text: '$HOME costs $5 or $', expanded: false });
});

test('a variable that is not set is named', () => {
  assert.deepEqual(expand('$HOME/$NOWHERE', env), { unset: 'NOWHERE' });
  assert.deepEqual(expand(`\${toString}`, Object.create(null)), { unset: 'toString' });
});
