import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideFlags, hasLiteFsFlag, parseLiteFsFlags, withTwoDashes } from './litefs-flags.ts';

function parse(...argv: readonly string[]) {
  const { values, command } = parseLiteFsFlags(argv, ['promote', 'v'], ['url']);
  return { values: Object.fromEntries(values), command };
}

test('flags have one dash or two, and their values follow or are joined', () => {
  assert.deepEqual(parse('-promote', '--url', 'http://a', '--', 'x', '-v'), {
    values: { promote: 'true', url: 'http://a' },
    command: ['x', '-v'],
  });
  assert.deepEqual(parse('--promote=false', '-v=1', '-url=b=c'), {
    values: { v: 'true', url: 'b=c' },
    command: undefined,
  });
});

test('what is no flag is refused, with the nearest one', () => {
  assert.throws(() => parse('-promot'), { code: 'USAGE', message: /no flag -promot.*-promote/ });
  assert.throws(() => parse('-promote=maybe'), { code: 'USAGE', message: /allowed: true or false/ });
  assert.throws(() => parse('-url'), { code: 'USAGE', message: /-url needs a value/ });
  assert.throws(() => parse('sqlite3', '--', 'x'), { code: 'USAGE', message: /A command goes after --/ });
});

test('the flags of litefs run are told from those of skein run', () => {
  for (const words of [['-promote'], ['--with-halt-lock-on=app.db'], ['-v', '--', 'x']])
    assert.ok(hasLiteFsFlag(words, besideFlags), words.join(' '));
  for (const words of [['--config', 'a'], ['--lease-url=x'], ['--', 'app', '-promote'], []])
    assert.ok(!hasLiteFsFlag(words, besideFlags), words.join(' '));
  assert.deepEqual(withTwoDashes(['-name', 'a.db', '--url=x', '-url=y', '-'], ['name', 'url']), [
    ...['--name', 'a.db', '--url=x', '--url=y', '-'],
  ]);
});
