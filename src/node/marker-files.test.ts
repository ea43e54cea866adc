import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { lagText, MarkerFiles } from './marker-files.ts';

function start(t: TestContext) {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, '.skein'));
  writeFileSync(join(directory, '.primary'), 'left by an earlier run\n');
  const markers = new MarkerFiles(directory, join(directory, '.skein'));
  const text = (name: string) => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  };
  return { directory, markers, text };
}

test("`.primary` names the primary while connected to it, and never an earlier run's", (t) => {
  const { markers, text } = start(t);
  assert.equal(text('.primary'), undefined);
  markers.setPrimary('one');
  assert.equal(text('.primary'), 'one\n');
  markers.setPrimary('one');
  markers.setPrimary('two');
  assert.equal(text('.primary'), 'two\n');
  markers.setPrimary(undefined);
  markers.setPrimary(undefined);
  assert.equal(text('.primary'), undefined);
  markers.setPrimary('two');
  assert.equal(text('.primary'), 'two\n');
});

test('`.lag` is a sign, nine digits and a newline, and the largest number before the first sync', (t) => {
  const { markers, text } = start(t);
  markers.setLag(undefined);
  assert.equal(text('.lag'), '+2147483647\n');
  markers.setLag(12.9);
  assert.equal(text('.lag'), '+000000012\n');
  markers.setLag(0);
  assert.equal(text('.lag'), '+000000000\n');
  assert.equal(lagText(-5), '+000000000\n', 'clocks that differ give no negative lag');
  assert.equal(lagText(1e12), '+2147483647\n');
});

test('both are gone after the node, and nothing else is left', (t) => {
  const { directory, markers } = start(t);
  markers.setPrimary('one');
  markers.setLag(3);
  assert.deepEqual(readdirSync(directory).sort(), ['.lag', '.primary', '.skein']);
  markers.delete();
  markers.delete();
  assert.deepEqual(readdirSync(directory), ['.skein']);
  assert.deepEqual(readdirSync(join(directory, '.skein')), []);
});
