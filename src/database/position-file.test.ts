import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { checksum, checksumFlag, emptyPosition, txid } from '../ltx/position.ts';
import { PositionFile } from './position-file.ts';

test('the file beside the database is the position in 34 bytes, and goes when it is deleted', (t) => {
  const path = join(temporaryDirectory(t), 'a.db');
  const file = new PositionFile(path);
  assert.equal(existsSync(`${path}-pos`), false);
  file.write({ txid: txid(0x1234), checksum: checksum(checksumFlag | 0xabcn) });
  assert.equal(readFileSync(`${path}-pos`, 'latin1'), '0000000000001234/8000000000000abc\n');
  file.write(emptyPosition);
  assert.equal(readFileSync(`${path}-pos`, 'latin1'), '0000000000000000/0000000000000000\n');
  file.close();
  file.write({ txid: txid(1), checksum: checksum(checksumFlag) });
  assert.equal(readFileSync(`${path}-pos`, 'latin1'), '0000000000000001/8000000000000000\n');
  file.delete();
  file.delete();
  assert.equal(existsSync(`${path}-pos`), false);
});
