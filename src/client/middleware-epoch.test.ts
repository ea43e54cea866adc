import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, listenBehind, StandInNode } from './test-support.ts';

const here = (_request: unknown, response: { end(text: string): unknown }) => void response.end('here');

test('once the lead has changed hands a position tells its epoch, and never one before what the session knew', async (t) => {
  const node = await StandInNode.start(t);
  const port = await listenBehind(t, node, here);
  const write = async (cookie: string) =>
    (await ask(port, { method: 'POST', headers: { cookie } })).headers['skein-position'];
  assert.equal(await write(''), 'app%2Edb:0000000000000005');
  node.chainEpoch = 2;
  assert.equal(await write(''), 'app%2Edb:0000000000000005-2');
  const known = '__txid=other%2Edb:0000000000000003-3';
  assert.equal(await write(known), 'other%2Edb:0000000000000003.app%2Edb:0000000000000005-3');
});

test('a reader waits until this node is on the chain of its epoch, whatever the numbers say', async (t) => {
  const node = await StandInNode.start(t);
  node.isPrimary = false;
  node.primary = 'other';
  node.setTxid('app.db', 9);
  const port = await listenBehind(t, node, here);
  const headers = { cookie: '__txid=app%2Edb:0000000000000003-2' };
  assert.equal((await ask(port, { headers: { cookie: '__txid=0000000000000003' } })).body, 'here');
  let isOver = false;
  const waiting = ask(port, { headers }).finally(() => {
    isOver = true;
  });
  await node.asked(2);
  assert.equal(isOver, false, 'nine transactions of an earlier chain');
  // What is known of the earlier chain does not count for this one.
  node.setTxid('app.db', 2);
  node.chainEpoch = 2;
  await node.asked(1);
  setTimeout(() => node.setTxid('app.db', 3), 50);
  assert.equal((await waiting).body, 'here');
  assert.equal((await ask(port, { headers })).body, 'here', 'it is known from then on');
});

test('an old primary that takes itself for one of now does not serve, or give up, what came after it', async (t) => {
  const node = await StandInNode.start(t);
  node.setTxid('app.db', 9);
  const port = await listenBehind(t, node, here, { readWaitMs: 150 });
  for (const txid of ['03', '0f']) {
    const headers = { cookie: `__txid=app%2Edb:00000000000000${txid}-2` };
    const { status, headers: given } = await ask(port, { headers });
    assert.deepEqual([status, given['set-cookie']], [504, undefined], txid);
  }
});

test('a position that is lost is given up in the epoch of the node that knows', async (t) => {
  const node = await StandInNode.start(t);
  node.chainEpoch = 4;
  node.setTxid('other.db', 7);
  const port = await listenBehind(t, node, here);
  const cookie = '__txid=other%2Edb:0000000000000006.app%2Edb:0000000000000003-2';
  const { headers } = await ask(port, { headers: { cookie } });
  assert.match(String(headers['set-cookie']), /^__txid=other%2Edb:0000000000000006-4; /);
});

test('a node that does not tell of its chain is taken by its numbers', async (t) => {
  const node = await StandInNode.start(t);
  node.chainEpoch = undefined;
  const port = await listenBehind(t, node, here, { readWaitMs: 150 });
  const headers = { cookie: '__txid=app%2Edb:0000000000000001-2' };
  assert.equal((await ask(port, { headers })).body, 'here');
});
