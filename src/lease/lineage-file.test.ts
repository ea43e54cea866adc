import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { LineageFile } from './lineage-file.ts';

const record = {
  epoch: 7,
  holder: { node: 'one', region: 'ams', url: 'http://one:1' },
  positions: {},
  safe: { epoch: 6, positions: {} },
  standby: 'two',
};

test('what a node noted of itself outlives it', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'lineage');
  assert.deepEqual(new LineageFile(path).lineage, { epoch: 0, role: undefined, record: undefined });
  const file = new LineageFile(path);
  file.update({ epoch: 6, role: 'primary' });
  file.update({ record });
  assert.deepEqual(new LineageFile(path).lineage, { epoch: 6, role: 'primary', record });
  assert.deepEqual(readdirSync(directory), ['lineage'], 'nothing is left beside it');
});

test('a file that is cut or is something else counts as none', (t) => {
  const path = join(temporaryDirectory(t), 'lineage');
  const whole = JSON.stringify({ epoch: 6, role: 'replica', record });
  const damaged = [
    whole.slice(0, 40),
    '',
    '[]',
    'null',
    '{"epoch": "6"}',
    '{"epoch": -1}',
    '{"epoch": 3, "record": 1}',
  ];
  for (const text of damaged) {
    writeFileSync(path, text);
    assert.equal(new LineageFile(path).lineage.epoch, 0, text);
  }
});

test('without a path nothing is written, and a change is remembered', () => {
  const file = new LineageFile(undefined);
  file.update({ epoch: 2, role: 'replica' });
  assert.equal(file.lineage.epoch, 2);
});
