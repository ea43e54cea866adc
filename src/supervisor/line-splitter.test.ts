import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineSplitter } from './line-splitter.ts';

function split(text: Buffer, chunkBytes: number, lineBytesMax?: number): string[] {
  const splitter = new LineSplitter(lineBytesMax);
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += chunkBytes) {
    lines.push(...splitter.push(text.subarray(at, at + chunkBytes)));
  }
  return [...lines, ...splitter.end()];
}

test('lines come out whole and in order however the bytes are cut', () => {
  const text = 'one\n\nzwei ü €\r\n𝄞𝄞\nlast without newline';
  const expected = ['one', '', 'zwei ü €', '𝄞𝄞', 'last without newline'];
  for (let chunkBytes = 1; chunkBytes <= 40; chunkBytes++) {
    assert.deepEqual(split(Buffer.from(text), chunkBytes), expected);
  }
});

test('a long line is cut into pieces between characters, and nothing of it is lost', () => {
  const text = '€𝄞aü'.repeat(500);
  for (const chunkBytes of [1, 7, 64, 10_000]) {
    const lines = split(Buffer.from(`${text}\nnext\n`), chunkBytes, 64);
    assert.equal(lines.at(-1), 'next');
    const pieces = lines.slice(0, -1);
    assert.equal(pieces.join(''), text);
    for (const piece of pieces) assert.ok(Buffer.byteLength(piece) <= 64);
  }
});

test('a line of exactly the limit is one line', () => {
  const line = 'x'.repeat(64);
  assert.deepEqual(split(Buffer.from(`${line}\n${line}\n`), 10, 64), [line, line]);
});

test('bytes that are no text are replaced and stay within their line', () => {
  assert.deepEqual(split(Buffer.from([0xff, 0x61, 0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x0a]), 3, 4), [
    '\ufffda',
    '\ufffd'.repeat(4),
    '\ufffd'.repeat(2),
  ]);
});
