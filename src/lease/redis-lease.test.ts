import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { RedisServer } from '../../test/support/redis-server.ts';
import { skipWithout } from '../../test/tools.ts';
import { SkeinError } from '../base/errors.ts';
import { leaseConformance } from './lease-conformance.ts';
import { RedisLease } from './redis-lease.ts';
import { hasCode, never, recordOf, take } from './test-support.ts';

const skip = skipWithout('redis-server');
const ttlMs = 2_000;

let shared: Promise<RedisServer> | undefined;
after(async () => (await shared)?.close());

// The first calls in a process take the longest, and the tests of the suite begin all at once.
before(async () => {
  if (skip) return;
  const { url } = await sharedServer();
  const lease = new RedisLease({ url, key: 'first', ttlMs: 60_000 });
  await take(lease, recordOf(1));
  await lease.close();
});

function sharedServer(): Promise<RedisServer> {
  shared ??= RedisServer.start();
  return shared;
}

leaseConformance('redis', {
  ttlMs,
  skip,
  open: async (t, ttl, { stopsStore }) => {
    const server = stopsStore ? await RedisServer.start() : await sharedServer();
    if (stopsStore) t.after(() => server.close());
    const key = `test/${randomUUID()}`;
    return {
      lease: (name = 'lease') => new RedisLease({ url: server.url, key: `${key}/${name}`, ttlMs: ttl }),
      putGarbage: async (text) => void (await server.run('SET', `{${key}/lease}:record`, text)),
      stopStore: async () => {
        await server.run('SAVE');
        await server.kill();
      },
      startStore: (options) => server.restart(options),
      freezeStore: async () => server.freeze(),
      thawStore: async () => server.thaw(),
    };
  },
});

describe('redis lease', { skip }, () => {
  test('a user, a password and a database number are used, and no failure names the password', async (t) => {
    const server = await RedisServer.start('--user', 'skein', 'on', '>se/cret', '~*', '&*', '+@all');
    t.after(() => server.close());
    const leaseAt = (url: string) => {
      const lease = new RedisLease({ url, key: 'k', ttlMs });
      t.after(() => lease.close());
      return lease;
    };
    const lease = leaseAt(`redis://skein:se%2Fcret@127.0.0.1:${server.port}/3`);
    await take(lease, recordOf(1));
    assert.equal((await leaseAt(`${server.url}/3`).read(never)).isHeld, true);
    assert.equal((await leaseAt(server.url).read(never)).isHeld, false);
    const refused = leaseAt(`redis://skein:wrong-word@127.0.0.1:${server.port}/3`);
    await assert.rejects(refused.read(never), (error) => {
      assert.ok(error instanceof SkeinError && error.code === 'LEASE_UNREACHABLE');
      assert.match(error.message, /WRONGPASS/);
      assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /wrong-word/);
      return true;
    });
    await server.kill();
    await assert.rejects(lease.read(never), (error) => {
      assert.ok(hasCode('LEASE_UNREACHABLE')(error));
      assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /cret/);
      return true;
    });
  });

  test('an address that is none of Redis is refused without naming its password', () => {
    for (const url of [
      'redis',
      'http://u:secret@h',
      'redis://u:secret@h:x',
      'redis://u:secret@h/app',
      'redis://u:secret%@h',
      'redis://',
    ]) {
      assert.throws(
        () => new RedisLease({ url, key: 'k', ttlMs }),
        (error) => hasCode('CONFIG_INVALID')(error) && !inspect(error).includes('secret'),
      );
    }
  });

  test('something else in the hash of the record is refused', async (t) => {
    const server = await sharedServer();
    const key = randomUUID();
    const lease = new RedisLease({ url: server.url, key, ttlMs });
    t.after(() => lease.close());
    await server.run('HSET', `{${key}}:record`, 'version', 'x', 'text', '{}');
    await assert.rejects(lease.read(never), hasCode('LEASE_RECORD_INVALID'));
  });

  test('a closed lease gives nothing up, ends its waits and takes no more calls', async () => {
    const server = await sharedServer();
    const key = randomUUID();
    const lease = new RedisLease({ url: server.url, key, ttlMs: 60_000 });
    await take(lease, recordOf(1));
    const waiting = lease.changed(await lease.read(never), never);
    await lease.close();
    await waiting;
    await assert.rejects(lease.read(never), hasCode('LEASE_UNREACHABLE'));
    assert.equal(await server.run('EXISTS', `{${key}}:holder`), 1);
  });
});
