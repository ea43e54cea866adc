import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LineageFile } from '../lease/lineage-file.ts';
import { checkData } from './check-data.ts';

const root = mkdtempSync(join(tmpdir(), 'skein-check-'));
after(() => rmSync(root, { recursive: true }));

test('a directory that is not there yet is worth a note, and is not made', () => {
  const [found] = checkData(join(root, 'a/b'));
  assert.equal(found?.mark, 'note');
  assert.deepEqual(readdirSync(root), []);
});

test('a file in its place is a warning', () => {
  writeFileSync(join(root, 'file'), '');
  const [found] = checkData(join(root, 'file'));
  assert.equal(found?.mark, 'warning');
  assert.match(found.what, /it is no directory$/);
});

test('what the node remembers, and how many states it keeps, is told', () => {
  const directory = join(root, 'data');
  mkdirSync(join(directory, '.skein/lost/app.db-1'), { recursive: true });
  new LineageFile(join(directory, '.skein/lineage')).update({ role: 'primary', epoch: 7 });
  const position = '0000000000000002/c000000000000001';
  const entry = {
    version: 1,
    id: 'app.db-1',
    database: 'app.db',
    node: 'ams',
    epoch: 6,
    from: null,
    to: position,
    isRangeCertain: true,
    transactions: null,
    time: '2026-01-02T03:04:05.678Z',
    reason: 'for the test',
  };
  writeFileSync(join(directory, '.skein/lost/app.db-1/entry.json'), JSON.stringify(entry));
  assert.deepEqual(
    checkData(directory).map(({ mark, what }) => [mark, what]),
    [
      ['ok', `${directory} is writable; last primary, of the chain of epoch 7`],
      ['note', 'a state is kept that the primary did not have'],
    ],
  );
});
