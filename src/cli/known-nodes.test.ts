import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Announcement, LeaseRecord } from '../lease/lease-record.ts';
import { type Heard, knownNodes } from './known-nodes.ts';
import type { StatusAnswer } from './status-answer.ts';

const at = (txid: number) => ({ 'app.db': `${String(txid).padStart(16, '0')}/c000000000000001` });
const holder = { node: 'ams', region: 'ams', url: 'http://ams' };
const record: LeaseRecord = {
  epoch: 3,
  holder,
  positions: at(9),
  safe: { epoch: 3, positions: at(8) },
  standby: 'ord',
};
const told = (node: string, txid: number, epoch = 3): Announcement => ({
  node,
  region: node,
  url: `http://${node}`,
  epoch,
  positions: at(txid),
  isConnected: true,
});
const primary: StatusAnswer = {
  node: 'ams',
  pid: 1,
  app: 'test',
  region: 'ams',
  role: 'primary',
  primary: { node: 'ams', url: 'http://ams' },
  epoch: 3,
  databases: { 'app.db': { txid: '0000000000000010', checksum: 'c000000000000001' } },
  replicas: [
    { node: 'ord', region: 'ord', candidate: true, connected: true, acknowledged: at(9) },
    { node: 'syd', region: 'syd', candidate: false, connected: true, acknowledged: at(9) },
    { node: 'nrt', region: 'nrt', candidate: true, connected: false, acknowledged: at(2) },
  ],
};

function shown(heard: Partial<Heard>): (string | null)[][] {
  const base = { isFixed: false, record, isHeld: true, announcements: [], statuses: [] };
  return knownNodes({ ...base, ...heard }).map(({ node, state, obstacle, positions }) => [
    node,
    state,
    obstacle,
    positions['app.db']?.slice(14, 16) ?? null,
  ]);
}

test('the leader comes first, and what the primary acknowledges counts for more than older announcements', () => {
  const silent = 'is silent: it does not run, or does not reach the lease store';
  assert.deepEqual(shown({ announcements: [told('ord', 7)], statuses: [primary] }), [
    ['ams', 'leads', null, '10'],
    ['ord', 'standby', null, '09'],
    ['syd', 'replica', 'is no candidate ([node] candidate)', '09'],
    ['nrt', 'silent', silent, '02'],
  ]);
});

test('an announcement of a node that neither answers nor is connected does not count', () => {
  const gone = 'announced itself lately, and does not answer from here';
  assert.deepEqual(shown({ isHeld: false, announcements: [told('ord', 9)] }), [
    ['ams', 'silent', 'is silent: it does not run, or does not reach the lease store', '09'],
    ['ord', 'silent', gone, '09'],
  ]);
});

test('while nobody leads, each node counts by what it holds', () => {
  const replicas = ['ord', 'nrt'].map((node, index): StatusAnswer => {
    const txid = `000000000000000${[7, 9][index]}`;
    const databases = { 'app.db': { txid, checksum: 'c000000000000001' } };
    return { ...primary, node, region: node, role: 'replica', primary: null, databases, replicas: [] };
  });
  const announcements = [told('ord', 7), told('nrt', 9)];
  assert.deepEqual(shown({ isHeld: false, announcements, statuses: replicas }), [
    ['ord', 'standby', 'lacks acknowledged transactions of app.db', '07'],
    [
      'nrt',
      'candidate',
      'cannot know what ams and its standby ord acknowledged last; one of the two has to come back',
      '09',
    ],
    ['ams', 'silent', 'is silent: it does not run, or does not reach the lease store', '09'],
  ]);
});

test('with a fixed primary nobody else could lead', () => {
  const found = shown({ isFixed: true, record: undefined, isHeld: false, statuses: [primary] });
  assert.deepEqual(found[0], ['ams', 'leads', null, '10']);
  for (const [, , obstacle] of found.slice(1)) assert.match(String(obstacle), /^follows a fixed primary/);
});

test('where nothing is known, there is no node', () => {
  assert.deepEqual(shown({ record: undefined, isHeld: false }), []);
});
