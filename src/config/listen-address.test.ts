import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatListenAddress, isLoopback, parseListenAddress } from './listen-address.ts';

test('an address is read with a host, with an IPv6 host, for all interfaces, and as a port alone', () => {
  assert.deepEqual(parseListenAddress('10.0.0.5:80'), { host: '10.0.0.5', port: 80 });
  assert.deepEqual(parseListenAddress('[::1]:20202'), { host: '::1', port: 20202 });
  assert.deepEqual(parseListenAddress(':20202'), { host: '::', port: 20202 });
  assert.deepEqual(parseListenAddress('20202'), { host: '127.0.0.1', port: 20202 });
  assert.deepEqual(parseListenAddress(20202), { host: '127.0.0.1', port: 20202 });
  assert.equal(formatListenAddress({ host: '::1', port: 1 }), '[::1]:1');
});

test('what is no address is refused', () => {
  for (const given of ['', 'host', ':0', ':65536', '::1:80', 'http://a:80', 'a b:80', '[::1]', 1.5]) {
    assert.equal(parseListenAddress(given), undefined, String(given));
  }
});

test('only addresses of this machine itself count as loopback', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) assert.ok(isLoopback(host), host);
  for (const host of ['::', '0.0.0.0', '10.0.0.1', '127.0.0.1.example.com'])
    assert.ok(!isLoopback(host), host);
});
