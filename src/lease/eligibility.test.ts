import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidacy, compareAdvance, obstacleTo, reaches } from './eligibility.ts';
import type { LeaseRecord } from './lease-record.ts';

function at(txid: number, chain = 0): string {
  return `${txid.toString(16).padStart(16, '0')}/${(0x8000000000000000n | BigInt(txid * 16 + chain)).toString(16)}`;
}

function node(name: string, epoch: number, txid: number): Candidacy {
  return { node: name, candidate: true, epoch, positions: txid > 0 ? { 'a.db': at(txid) } : {} };
}

function record(change: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    epoch: 3,
    holder: { node: 'one', region: 'x', url: 'http://one:1' },
    positions: { 'a.db': at(120) },
    safe: { epoch: 3, positions: { 'a.db': at(100) } },
    standby: 'two',
    ...change,
  };
}

test('of a lease whose holder died, the standby and the holder may be next, and nobody else', () => {
  assert.equal(obstacleTo(node('two', 3, 100), record()), undefined);
  assert.equal(obstacleTo(node('one', 3, 130), record()), undefined);
  assert.match(String(obstacleTo(node('three', 3, 500), record())), /one and its standby two/);
});

test('a node below the safe position never leads, whoever it is', () => {
  for (const name of ['one', 'two', 'three']) {
    assert.match(String(obstacleTo(node(name, 3, 99), record())), /lacks acknowledged transactions of a.db/);
    assert.match(String(obstacleTo(node(name, 3, 0), record())), /lacks/, 'an empty node');
    const released = record({ holder: null, standby: null });
    assert.match(String(obstacleTo(node(name, 3, 99), released)), /lacks/);
  }
});

test('a longer chain of an older epoch does not count as more', () => {
  assert.match(String(obstacleTo(node('two', 2, 5_000), record())), /lacks/);
  assert.ok(compareAdvance(node('a', 3, 10), node('b', 2, 5_000)) > 0);
});

test('another state of the same TXID is not the safe position', () => {
  const other = { ...node('two', 3, 100), positions: { 'a.db': at(100, 1) } };
  assert.match(String(obstacleTo(other, record())), /lacks/);
  assert.equal(reaches(at(7), at(7)), true);
  assert.equal(reaches(at(7, 1), at(7)), false);
  assert.equal(reaches(undefined, at(7)), false);
});

test('the last holder with an older copy of its directory does not lead', () => {
  assert.match(String(obstacleTo(node('one', 3, 110), record())), /has lost transactions/);
});

test('after a primary that was alone only that one leads again', () => {
  const alone = record({ standby: 'one' });
  assert.equal(obstacleTo(node('one', 3, 120), alone), undefined);
  assert.match(String(obstacleTo(node('two', 3, 120), alone)), /led alone/);
});

test('after a lease was given up in order anyone with all that is safe may lead', () => {
  const released = record({ holder: null, standby: null });
  for (const name of ['one', 'two', 'three'])
    assert.equal(obstacleTo(node(name, 3, 100), released), undefined);
});

test('a node that is no candidate never leads, and without a record every candidate may', () => {
  const observer = { ...node('two', 3, 100), candidate: false };
  assert.match(String(obstacleTo(observer, record())), /no candidate/);
  assert.match(String(obstacleTo(observer, undefined)), /no candidate/);
  assert.equal(obstacleTo(node('two', 0, 0), undefined), undefined);
});
