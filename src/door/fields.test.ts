import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadMessage } from './bad-message.ts';
import { parseRequestHead } from './request-head.ts';
import { parseResponseHead } from './response-head.ts';

function statusOf(head: string): number {
  try {
    parseRequestHead(head);
    return 200;
  } catch (error) {
    if (error instanceof BadMessage) return error.status;
    throw error;
  }
}

function withLines(...lines: string[]): string {
  return `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}`;
}

test('a head is read as it was sent', () => {
  const head = parseRequestHead(
    'POST /a/b?c=d HTTP/1.1\r\nhost: one.example:80\r\nX-One:1\r\nX-Two: \t 2 \t\r\nEmpty:\r\nContent-Length: 12\r\nCookie: a=b\r\n',
  );
  assert.deepEqual(
    [head.method, head.target, head.path, head.host],
    ['POST', '/a/b?c=d', '/a/b', 'one.example:80'],
  );
  assert.equal(head.fields.get('x-one'), '1');
  assert.equal(head.fields.get('x-two'), '2');
  assert.equal(head.fields.get('empty'), '');
  assert.equal(head.fields.contentLength, 12);
  assert.deepEqual([head.keepsAlive, head.isHttp10, head.hasBody], [true, false, true]);
});

test('what could be read in two ways is refused', () => {
  const bad = {
    'both framings': withLines('Content-Length: 1', 'Transfer-Encoding: chunked'),
    'both framings, the other way round': withLines('Transfer-Encoding: chunked', 'Content-Length: 1'),
    'lengths that differ': withLines('Content-Length: 1', 'Content-Length: 2'),
    'lengths that are equal': withLines('Content-Length: 1', 'Content-Length: 1'),
    'a list of lengths': withLines('Content-Length: 1, 1'),
    'a length with a sign': withLines('Content-Length: +1'),
    'a negative length': withLines('Content-Length: -1'),
    'a length in hexadecimal': withLines('Content-Length: 0x1'),
    'an empty length': withLines('Content-Length:'),
    'a length beyond all numbers': withLines('Content-Length: 99999999999999999999'),
    'another coding before chunked': withLines('Transfer-Encoding: gzip, chunked'),
    'chunked before another coding': withLines('Transfer-Encoding: chunked, identity'),
    'chunked twice': withLines('Transfer-Encoding: chunked, chunked'),
    'chunked in two fields': withLines('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    'a coding that is almost chunked': withLines('Transfer-Encoding: xchunked'),
    'an empty coding': withLines('Transfer-Encoding:'),
    'a space before the colon': withLines('Content-Length : 1'),
    'a line that goes on': withLines('A: b', ' c'),
    'a line that goes on after a tab': withLines('A: b', '\tc'),
    'a name with a space': withLines('A b: c'),
    'no name': withLines(': c'),
    'no colon': withLines('abc'),
    'a zero byte': withLines('A: b\0c'),
    'a lone CR': withLines('A: b\rc'),
    'a lone LF': withLines('A: b\nContent-Length: 5'),
    'a name beyond ASCII': withLines('Contént: b'),
    'two hosts': withLines('Host: b'),
    'a host with a path': 'GET / HTTP/1.1\r\nHost: a/b\r\n',
    'a host with a space': 'GET / HTTP/1.1\r\nHost: a b\r\n',
    'no host': 'GET / HTTP/1.1\r\nA: b\r\n',
    'no host but in the target': 'GET http://a/ HTTP/1.1\r\nA: b\r\n',
    'two spaces in the request line': 'GET  / HTTP/1.1\r\nHost: a\r\n',
    'a space in the target': 'GET /a b HTTP/1.1\r\nHost: a\r\n',
    'a tab in the request line': 'GET\t/ HTTP/1.1\r\nHost: a\r\n',
    'a target without a slash': 'GET a HTTP/1.1\r\nHost: a\r\n',
    'a target with a byte beyond ASCII': 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n',
    'a star for a GET': 'GET * HTTP/1.1\r\nHost: a\r\n',
    'an empty target': 'GET  HTTP/1.1\r\nHost: a\r\n',
    'no version': 'GET /\r\nHost: a\r\n',
    'a version in lower case': 'GET / http/1.1\r\nHost: a\r\n',
    'a version with more': 'GET / HTTP/1.11\r\nHost: a\r\n',
    'a method that is no token': 'G(T / HTTP/1.1\r\nHost: a\r\n',
    'chunked in HTTP/1.0': 'GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n',
  };
  for (const [what, head] of Object.entries(bad)) assert.equal(statusOf(head), 400, what);
});

test('what is not spoken here is refused with its own status', () => {
  assert.equal(statusOf('GET / HTTP/2.0\r\nHost: a\r\n'), 505);
  assert.equal(statusOf('PRI * HTTP/2.0\r\n'), 505);
  assert.equal(statusOf('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n'), 405);
  assert.equal(statusOf(withLines('Transfer-Encoding: gzip')), 501);
  assert.equal(statusOf(withLines('Expect: 200-ok')), 417);
  assert.equal(statusOf(withLines(...Array.from({ length: 201 }, (_, at) => `a${at}: b`))), 431);
});

test('an absolute target has the host that counts', () => {
  const head = parseRequestHead('GET http://b:81?x=1 HTTP/1.1\r\nHost: a\r\n');
  assert.deepEqual([head.target, head.host], ['/?x=1', 'b:81']);
  assert.equal(parseRequestHead('OPTIONS * HTTP/1.1\r\nHost: a\r\n').target, '*');
});

test('an upgrade is one when Connection says so, and never to HTTP/2', () => {
  const upgrade = (...lines: string[]) => parseRequestHead(withLines(...lines)).upgrade;
  assert.equal(upgrade('Connection: keep-alive, Upgrade', 'Upgrade: websocket'), 'websocket');
  assert.equal(upgrade('Upgrade: websocket'), undefined);
  assert.equal(upgrade('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'), undefined);
  assert.equal(upgrade('Connection: Upgrade', 'Upgrade: foo, h2c'), undefined);
});

test('responses are held to the same rules', () => {
  const good = parseResponseHead('HTTP/1.1 204 \r\nA: b\r\n');
  assert.deepEqual([good.status, good.reason, good.keepsAlive], [204, '', true]);
  assert.equal(parseResponseHead('HTTP/1.1 200\r\n').reason, '');
  for (const bad of [
    'HTTP/1.1 20 OK\r\n',
    'HTTP/1.1 2000 OK\r\n',
    'HTTP/1.1 999 OK\r\n',
    'HTTP/1.1  200 OK\r\n',
    'HTTP/2 200 OK\r\n',
    'HTTP/1.1 200 OK\r\nA : b\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n',
  ])
    assert.throws(() => parseResponseHead(bad), BadMessage, bad);
});
