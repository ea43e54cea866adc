import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cookieValue, formatSession, formatTxids, parseSession, parseTxids } from './position-text.ts';

test('only a database that was chosen goes without its name, and both forms are understood', () => {
  const one = new Map([['app.db', 255]]);
  assert.equal(formatTxids(one, 'app.db'), '00000000000000ff');
  assert.deepEqual(parseTxids('00000000000000ff', ['app.db']), one);
  const names = ['app.db', 'a:b, c.db', 'user.db'];
  assert.equal(formatTxids(one), 'app%2Edb:00000000000000ff');
  const several = new Map([
    ['app.db', 255],
    ['a:b, c.db', 2 ** 52],
  ]);
  const text = formatTxids(several) ?? '';
  assert.equal(text, 'app%2Edb:00000000000000ff.a%3Ab%2C%20c%2Edb:0010000000000000');
  assert.deepEqual(parseTxids(text, names), several);
  assert.deepEqual(parseTxids('app.db:00000000000000ff', names), one, 'a plain name will do');
  assert.equal(formatTxids(new Map()), undefined);
});

test('a value without a name says nothing where there are several databases, or none', () => {
  assert.equal(parseTxids('00000000000000ff', ['app.db', 'user.db']), undefined);
  assert.equal(parseTxids('00000000000000ff', []), undefined);
});

test('what is not of the form is refused, and no more than sixteen names are taken', () => {
  const pair = (index: number) => `d${index}.db:0000000000000001`;
  const pairs = (count: number) => Array.from({ length: count }, (_, index) => pair(index)).join('.');
  assert.equal(parseTxids(pairs(16), [])?.size, 16);
  const refused = ['', 'zz', '0'.repeat(17), ':0000000000000001', 'app.db:1', `${pair(1)}x`, `x${pair(1)} `];
  for (const text of [...refused, pairs(17), `%zz:0000000000000001`, 'a'.repeat(100_000)])
    assert.equal(parseTxids(text, ['app.db']), undefined, text.slice(0, 50));
});

test('the epoch of a second primary or a later one follows, and is not taken for a part of a name', () => {
  const txids = new Map([['app-7.db', 255]]);
  assert.equal(formatSession({ epoch: 1, txids }), 'app-7%2Edb:00000000000000ff');
  const text = formatSession({ epoch: 12, txids }) ?? '';
  assert.equal(text, 'app-7%2Edb:00000000000000ff-12');
  assert.deepEqual(parseSession(text, []), { epoch: 12, txids });
  assert.deepEqual(parseSession('app-7%2Edb:00000000000000ff', []), { epoch: 0, txids });
  assert.equal(parseSession('00000000000000ff-3', ['app.db'])?.epoch, 3);
  for (const refused of ['-3', 'x-3', '00000000000000ff-', '00000000000000ff-1-2'])
    assert.equal(parseSession(refused, ['app.db']), undefined, refused);
});

test('the cookie is found wherever it stands, and no other of a like name', () => {
  assert.equal(cookieValue('a=b; __txid=1'), '1');
  assert.equal(cookieValue('__txid=1;x__txid=2'), '1');
  assert.equal(cookieValue('x__txid=2'), undefined);
  assert.equal(cookieValue('a=__txid=2'), undefined);
});
