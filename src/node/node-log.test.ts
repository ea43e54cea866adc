import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNodeLog } from './node-log.ts';

/** What the log prints, without the times. */
function printed(write: (log: ReturnType<typeof createNodeLog>) => void): string[] {
  const lines: string[] = [];
  const log = createNodeLog((name, text) => {
    assert.equal(name, 'skein');
    lines.push(text);
  });
  write(log);
  return lines.map((line) => {
    assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} /);
    return line.slice(13);
  });
}

test('a message is one line with its fields, quoted where they need it', () => {
  const lines = printed((log) => {
    log.notice('started');
    log.notice('sending', { database: 'a.db', bytes: 12, what: 'all pages', list: [1, 2] });
    log.warn('the disk is full', { reason: 'a "quote"\nand a line' });
  });
  assert.deepEqual(lines, [
    'started',
    'sending database=a.db bytes=12 what="all pages" list=[1,2]',
    'warning: the disk is full reason="a \\"quote\\"\\nand a line"',
  ]);
});

test('secrets are not printed', () => {
  const [line] = printed((log) => {
    log.notice('connected', {
      secret: 'hunter2',
      authorization: 'Bearer hunter2',
      node: { secret: 'hunter2' },
    });
  });
  assert.doesNotMatch(line, /hunter2/);
});

test('a line has a length that a terminal survives', () => {
  const [line] = printed((log) => log.notice('long', { text: 'x'.repeat(100_000) }));
  assert.ok(line.length <= 2_000);
});
