import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LogTail } from './log-tail.ts';

test('a tail gives each complete line once, without control characters, also after the file was cut', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'log-tail-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'skein.log');
  const tail = new LogTail(path);
  assert.deepEqual(tail.read(), []);
  writeFileSync(path, 'one\n\u001b[31mtwo\u001b[0m\nthr');
  assert.deepEqual(tail.read(), ['one', 'two']);
  appendFileSync(path, 'ee\n\n');
  assert.deepEqual(tail.read(), ['three']);
  truncateSync(path, 0);
  appendFileSync(path, 'four\n');
  assert.deepEqual(tail.read(), ['four']);
});

test('a tail reads only the end of a flood, and empties a file that has grown too long', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'log-tail-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'skein.log');
  const tail = new LogTail(path);
  writeFileSync(path, `${'x'.repeat(99)}\n`.repeat(200_000));
  const lines = tail.read();
  assert.ok(lines.length > 600 && lines.length < 700, `${lines.length} lines`);
  assert.equal(statSync(path).size, 0);
  appendFileSync(path, 'after\n');
  assert.deepEqual(tail.read(), ['after']);
});
