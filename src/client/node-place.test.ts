import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodePlaces } from './node-place.ts';

const [ams, ord, syd] = ['ams', 'ord', 'syd'].map((node) => ({ node, region: node, url: `http://${node}` }));

test('a primary knows its replicas by the stream, and all others by the bus', () => {
  const replicas = [
    { ...ord, candidate: true, connected: true },
    { ...syd, candidate: false, connected: false },
  ];
  const peers = [{ ...ord, connected: false }];
  assert.deepEqual(nodePlaces({ ...ams, candidate: true, primary: ams, replicas, peers }), [
    { ...ams, role: 'primary', isSelf: true, candidate: true },
    { ...ord, role: 'replica', isSelf: false, candidate: true },
  ]);
  const linked = nodePlaces({ ...ams, primary: ams, replicas, peers: [{ ...syd, connected: true }] });
  assert.deepEqual(
    linked.map(({ node }) => node),
    ['ams', 'ord', 'syd'],
  );
});

test('a replica knows its primary, also while their bus has no link, and nobody leads while it has none', () => {
  const peers = [{ ...ord, candidate: false, connected: true }];
  assert.deepEqual(nodePlaces({ ...syd, primary: { ...ams, region: '' }, peers }), [
    { node: 'ams', url: 'http://ams', role: 'primary', isSelf: false },
    { ...ord, role: 'replica', isSelf: false, candidate: false },
    { ...syd, role: 'replica', isSelf: true },
  ]);
  assert.deepEqual(
    nodePlaces({ ...syd, primary: null, peers }).map(({ role }) => role),
    ['replica', 'replica'],
  );
});
