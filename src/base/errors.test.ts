import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { exitCodes, messageOf, SkeinError, systemCodeOf } from './errors.ts';

const root = resolve(import.meta.dirname, '../..');

test('docs/errors.md lists every code with its exit code, in the same order, and no other', () => {
  const page = readFileSync(resolve(root, 'docs/errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` +\| (\d) +\|/gm)].map(([, code, exit]) => [
    code,
    Number(exit),
  ]);
  assert.deepEqual(rows, Object.entries(exitCodes));
});

test('every code is used somewhere in src', () => {
  const source = globSync('src/**/*.ts', { cwd: root })
    .filter((path) => !path.endsWith('.test.ts') && path !== 'src/base/errors.ts')
    .map((path) => readFileSync(resolve(root, path), 'utf8'))
    .join('\n');
  const unused = Object.keys(exitCodes).filter((code) => !source.includes(`'${code}'`));
  assert.deepEqual(unused, [], 'remove these codes, or throw them');
});

test('an error keeps its code, its message and its cause', () => {
  const cause = new Error('no space');
  const error = new SkeinError('DISK_FULL', 'The disk is full.', { cause });
  assert.equal(error.code, 'DISK_FULL');
  assert.equal(error.cause, cause);
  assert.equal(String(error), 'SkeinError: The disk is full.');
});

test('anything thrown has a message', () => {
  assert.equal(messageOf(new Error('a')), 'a');
  assert.equal(messageOf('b'), 'b');
  assert.equal(messageOf(undefined), 'undefined');
});

test('only errors of the system have a system code', () => {
  assert.equal(systemCodeOf(Object.assign(new Error('full'), { code: 'ENOSPC' })), 'ENOSPC');
  assert.equal(systemCodeOf(Object.assign(new Error('odd'), { code: 1 })), undefined);
  assert.equal(systemCodeOf(new Error('plain')), undefined);
  assert.equal(systemCodeOf({ code: 'ENOSPC' }), undefined);
});
