import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { liteFsKeys } from './litefs-keys.ts';

test('docs/litefs.md says of every key of litefs.yml what it becomes, and of no other', () => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/litefs.md', import.meta.url)), 'utf8');
  const table = page.slice(page.indexOf('| key | here |'), page.indexOf('### The proxy'));
  const first = [...table.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell = '']) => cell);
  const named = first.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
  assert.deepEqual(named.sort(), Object.keys(liteFsKeys).sort());
});
