import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durable, events, isPrimary, nodes, position, primary, waitFor } from './node-functions.ts';
import { placeOf } from './place.ts';

test('outside of Skein a process is a primary that is alone, and waits for nothing', async () => {
  assert.equal(isPrimary(), true);
  assert.equal(typeof (await primary())?.node, 'string');
  const [self, ...others] = await nodes();
  assert.deepEqual([self?.role, self?.isSelf, others.length], ['primary', true, 0]);
  assert.equal(await position(), undefined);
  assert.equal(await durable('replica'), undefined);
  await waitFor('anything');
  for await (const event of events()) {
    assert.deepEqual(event, { type: 'init', data: { isPrimary: true } });
    break;
  }
});

test('events end with their signal, also outside of Skein', async () => {
  const seen: string[] = [];
  for await (const { type } of events({ signal: AbortSignal.timeout(20) })) seen.push(type);
  assert.deepEqual(seen, ['init']);
});

test('the place of the node is in the environment, with the names of LiteFS where there are no others', () => {
  const SKEIN_API = 'http://127.0.0.1:20202';
  assert.equal(placeOf({}), undefined);
  assert.equal(placeOf({ LITEFS_DIR: '/data' }), undefined, 'LiteFS alone has no such API');
  assert.equal(placeOf({ SKEIN_DIR: '/data', SKEIN_API: 'nonsense' }), undefined);
  assert.equal(placeOf({ LITEFS_DIR: '/data', SKEIN_API })?.directory, '/data');
  const place = placeOf({
    LITEFS_DIR: '/old',
    SKEIN_DIR: '/data',
    SKEIN_API,
    SKEIN_TOKEN: 'x',
    FLY_MACHINE_ID: 'ams-1',
  });
  assert.deepEqual([place?.directory, place?.token, place?.node], ['/data', 'x', 'ams-1']);
});
