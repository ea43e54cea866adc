import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { integrityProblem } from './integrity-check.ts';
import { newDatabase } from './test-support.ts';

test('a sound database has no problem', async (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const app = newDatabase(t, path);
  app.exec('INSERT INTO t VALUES (1, randomblob(50000))');
  app.close();
  assert.equal(await integrityProblem(path), undefined);
});

test('a damaged page, a file of something else and a missing file are each named', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'a.db');
  const app = newDatabase(t, path);
  for (let row = 0; row < 200; row += 1) app.exec('INSERT INTO t VALUES (NULL, randomblob(300))');
  app.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(4096, 0x55), 0, 4096, 4096 * 2);
  closeSync(file);
  assert.match((await integrityProblem(path)) ?? '', /Tree|malformed/i);
  writeFileSync(join(directory, 'text.db'), 'a,b\n'.repeat(1_000));
  assert.match((await integrityProblem(join(directory, 'text.db'))) ?? '', /not a database/);
  assert.match((await integrityProblem(join(directory, 'missing.db'))) ?? '', /unable to open/);
});
