import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Happenings } from './happenings.ts';
import type { NodeView } from './screen.ts';

/** A node as it shows itself: its leader is `leader`, or nobody. */
function view(name: string, leader: string | undefined, epoch: number): NodeView {
  return {
    name,
    city: name,
    status: {
      node: name,
      pid: 1,
      role: name === leader ? 'primary' : 'replica',
      epoch,
      primary: leader === undefined ? null : { node: leader, url: 'http://127.0.0.1:1' },
      databases: { 'cities.db': { txid: '1', checksum: '1' } },
      replicas: [],
      processes: [{ name: 'web', on: 'all', state: 'running', restarts: 0 }],
    },
  };
}

const dead = (name: string): NodeView => ({ name, city: name, trouble: 'ended by SIGKILL' });

test('after a kill the line says who leads, since when, and how long that took', () => {
  const happenings = new Happenings();
  happenings.look([view('ams', 'ams', 1), view('ord', 'ams', 1)]);
  assert.match(happenings.text, /^ams leads since \d\d:\d\d:\d\d$/);
  happenings.noteGone('ams', 'was killed');
  happenings.look([dead('ams'), view('ord', undefined, 1)]);
  assert.equal(happenings.text, 'ams was killed');
  happenings.look([dead('ams'), view('ord', 'ord', 2)]);
  assert.match(happenings.text, /^ord leads since \d\d:\d\d:\d\d, \d+\.\d s after ams was killed$/);
});

test('the death of a replica is no reason for the next leader', () => {
  const happenings = new Happenings();
  happenings.look([view('ams', 'ams', 1), view('ord', 'ams', 1), view('syd', 'ams', 1)]);
  happenings.noteGone('syd', 'was killed');
  happenings.look([view('ams', 'ord', 2), view('ord', 'ord', 2), dead('syd')]);
  assert.match(happenings.text, /^ord leads since \d\d:\d\d:\d\d$/);
});

test('a handoff is told with its time, whether the new leader or the answer is seen first', () => {
  const both = [view('ams', 'ord', 2), view('ord', 'ord', 2)];
  for (const order of ['answer first', 'leader first']) {
    const happenings = new Happenings();
    happenings.look([view('ams', 'ams', 1), view('ord', 'ams', 1)]);
    if (order === 'leader first') happenings.look(both);
    happenings.noteHandOff('ams', 'ord', 18.4);
    happenings.look(both);
    assert.match(happenings.text, /^ord leads since [\d:]{8}: ams handed over in 18 ms$/, order);
  }
});

test('a node is back when it follows the one that leads, not while it still takes itself for that', () => {
  const happenings = new Happenings();
  happenings.look([view('ams', 'ams', 1), view('ord', 'ams', 1)]);
  happenings.noteGone('ams', 'was paused');
  happenings.look([dead('ams'), view('ord', 'ord', 2)]);
  happenings.noteReturning('ams', 'went on');
  happenings.look([view('ams', 'ams', 1), view('ord', 'ord', 2)]);
  assert.equal(happenings.text, 'ams went on');
  happenings.look([view('ams', 'ord', 2), view('ord', 'ord', 2)]);
  assert.match(happenings.text, /^ams follows ord, \d+\.\d s after it went on$/);
});
