import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { readArguments, selectTestFiles } from './arguments.ts';

const root = mkdtempSync(join(tmpdir(), 'skein-test-arguments-'));

before(() => {
  const paths = [
    'src/log/a.test.ts',
    'src/ltx/b.test.ts',
    'src/ltx/b.ts',
    'test/c.test.ts',
    'test/soak/d.test.ts',
  ];
  for (const path of [...paths, 'examples/e/node_modules/f/f.test.ts', 'bench/g.test.ts']) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), '');
  }
});

after(() => rmSync(root, { recursive: true }));

test('flags go to the runner, paths count from where the command was given', () => {
  assert.deepEqual(readArguments(['--test-only', 'ltx', './log/a.test.ts'], join(root, 'src'), root), {
    flags: ['--test-only'],
    prefixes: ['src/ltx', 'src/log/a.test.ts'],
    faults: { seed: undefined, minutes: undefined },
  });
});

test('a seed and minutes are for the run of faults, and select it alone', () => {
  for (const args of [
    ['test/soak', '--seed', '7', '--minutes', '1.5', '--test-only'],
    ['test/soak', '--seed=7', '--test-only', '--minutes=1.5'],
  ]) {
    assert.deepEqual(readArguments(args, root, root), {
      flags: ['--test-only'],
      prefixes: ['test/soak/faults'],
      faults: { seed: '7', minutes: '1.5' },
    });
  }
});

test('without a path all test files run, but no soak test and none of a dependency', () => {
  assert.deepEqual(selectTestFiles(root, []), [
    'bench/g.test.ts',
    'src/log/a.test.ts',
    'src/ltx/b.test.ts',
    'test/c.test.ts',
  ]);
});

test('paths select the files that begin with them, a soak test too', () => {
  assert.deepEqual(selectTestFiles(root, ['src/ltx', 'test/c']), ['src/ltx/b.test.ts', 'test/c.test.ts']);
  assert.deepEqual(selectTestFiles(root, ['test/soak']), ['test/soak/d.test.ts']);
  assert.deepEqual(selectTestFiles(root, ['src/none']), []);
});
