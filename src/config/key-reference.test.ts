import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyReference } from './key-reference.ts';
import { loadConfig } from './load-config.ts';
import { acceptedPaths, dottedOf, flagOf, keyList, variableOf } from './schema.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

test('docs/configuration.md holds the table of keys as the schema has it', () => {
  const found = /<!-- keys -->\n(.*)\n<!-- \/keys -->/s.exec(page)?.[1];
  assert.equal(found, keyReference(), 'put what keyReference() returns between the markers');
});

test('every key has a variable and a flag of its own by the one rule', () => {
  assert.equal(variableOf(['database', 'dir']), 'SKEIN_DATABASE_DIR');
  assert.equal(flagOf(['http_service', 'internal_port']), 'http-service-internal-port');
  assert.equal(new Set(keyList.map(({ path }) => variableOf(path))).size, keyList.length);
  assert.equal(new Set(keyList.map(({ path }) => flagOf(path))).size, keyList.length);
});

test('no key is both known and without a meaning', () => {
  for (const { path } of keyList) assert.ok(!acceptedPaths.has(dottedOf(path)), dottedOf(path));
});

test('the example of docs/configuration.md is a configuration, and shows every section', () => {
  const example = /```toml\n(.*?)```/s.exec(page)?.[1] ?? '';
  const cwd = mkdtempSync(join(tmpdir(), 'skein-docs-'));
  try {
    writeFileSync(join(cwd, 'skein.toml'), example);
    const env = { HOME: '/home/ada', CLUSTER_SECRET: '0123456789abcdef' };
    const { env: variables, processes } = loadConfig({ argv: [], env, cwd });
    assert.equal(variables.CACHE_DIR, '/home/ada/cache');
    assert.deepEqual(
      processes.map(({ name, on }) => [name, on]),
      [
        ['web', 'all'],
        ['worker', 'primary'],
      ],
    );
  } finally {
    rmSync(cwd, { recursive: true });
  }
  for (const { path } of keyList) if (path.length > 1) assert.ok(example.includes(`[${path[0]}]`), path[0]);
});
