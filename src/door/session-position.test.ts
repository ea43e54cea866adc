import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatSession,
  formatSessionPosition,
  parseSession,
  parseSessionPosition,
  positionCookieOf,
  setCookieLine,
} from './session-position.ts';

test('with one database the value is its TXID, as LiteFS has it', () => {
  const position = parseSessionPosition('000000000000002A', 'app.db');
  assert.deepEqual([...position], [['app.db', 42]]);
  assert.equal(formatSessionPosition(position, 'app.db'), '000000000000002a');
  assert.equal(parseSessionPosition('000000000000002a', undefined).size, 0, 'of which one is not said');
});

test('from the second primary on, the value says of which epoch it is', () => {
  const position = new Map([['app.db', 42]]);
  assert.equal(formatSession({ epoch: 1, position }, 'app.db'), '000000000000002a');
  assert.equal(formatSession({ epoch: 7, position }, 'app.db'), '000000000000002a-7');
  assert.equal(formatSession({ epoch: 7, position }, undefined), 'app%2Edb:000000000000002a-7');
  assert.equal(formatSession({ epoch: 7, position: new Map() }, undefined), '');
  for (const only of ['app.db', undefined])
    assert.deepEqual(parseSession(formatSession({ epoch: 7, position }, only), only), { epoch: 7, position });
  assert.deepEqual(parseSession('000000000000002a', 'app.db'), { epoch: 0, position });
  assert.equal(parseSession('x-7', 'app.db').position.size, 0);
});

test('whatever databases are called, what is written is read as the same', () => {
  const names = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 });
  const positions = fc.uniqueArray(fc.tuple(names, fc.nat()), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: 16,
  });
  fc.assert(
    fc.property(positions, (entries) => {
      const text = formatSessionPosition(new Map(entries), undefined);
      assert.match(text, /^[\w%~.:-]+$/, 'a cookie can hold it');
      assert.deepEqual([...parseSessionPosition(text, undefined)], entries);
    }),
  );
});

test('of several databases the last sixteen are told, and names with dots are understood', () => {
  const many = new Map(Array.from({ length: 20 }, (_, at) => [`db${at}.db`, at]));
  assert.deepEqual(
    [...parseSessionPosition(formatSessionPosition(many, undefined), undefined).keys()].length,
    16,
  );
  const dotted = parseSessionPosition('a.db:0000000000000001.b.db:0000000000000002', undefined);
  assert.deepEqual(
    [...dotted],
    [
      ['a.db', 1],
      ['b.db', 2],
    ],
  );
  assert.deepEqual(
    [...parseSessionPosition('a.db:0000000000000001.b.db:0000000000000002', 'b.db')],
    [['b.db', 2]],
  );
});

test('nonsense is no position', () => {
  for (const text of ['', 'x', ':', 'a:1', '%zz:0000000000000001', `${'a'.repeat(5_000)}:0000000000000001`])
    assert.equal(parseSessionPosition(text, undefined).size, 0, text.slice(0, 20));
  assert.equal(parseSessionPosition('ffffffffffffffff', 'a').get('a'), Number.MAX_SAFE_INTEGER);
});

test('the cookie is found among others, and only under its own name', () => {
  assert.equal(positionCookieOf('a=b; __txid=1; c=d'), '1');
  assert.equal(positionCookieOf('__txid="1"'), '1');
  assert.equal(positionCookieOf('my__txid=1; x=__txid=2'), undefined);
  assert.equal(positionCookieOf(undefined), undefined);
});

test('the cookie is for the whole site, for five minutes, and over TLS for TLS only', () => {
  assert.equal(
    setCookieLine('1', false),
    'Set-Cookie: __txid=1; Path=/; Max-Age=300; HttpOnly; SameSite=Lax\r\n',
  );
  assert.equal(
    setCookieLine('', true),
    'Set-Cookie: __txid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure\r\n',
  );
});
