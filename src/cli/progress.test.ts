import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Progress, sizeText } from './progress.ts';

test('a size is shown in the unit that suits it', () => {
  assert.equal(sizeText(0), '0 B');
  assert.equal(sizeText(1023), '1023 B');
  assert.equal(sizeText(1536), '1.5 KiB');
  assert.equal(sizeText(3 * 1024 ** 3), '3.0 GiB');
  assert.equal(sizeText(5000 * 1024 ** 4), '5000.0 TiB');
});

test('bytes pass unchanged and are counted', async () => {
  const progress = new Progress('app.db', 6);
  progress.write('abc');
  progress.end('def');
  assert.equal(await text(progress), 'abcdef');
  assert.equal(progress.bytes, 6);
});
