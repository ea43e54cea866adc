import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFields } from './fields.ts';
import { type ReplayOrder, replayOrderOf, replaySourceLine } from './replay-order.ts';

function orderOf(line: string): Partial<ReplayOrder> | undefined {
  return replayOrderOf(parseFields(`${line}\r\n`, 0));
}

test('all forms of fly-replay are read, and what is not known is no order', () => {
  const none = {
    toPrimary: false,
    instance: undefined,
    regions: [],
    app: undefined,
    elsewhere: false,
    state: undefined,
  };
  assert.deepEqual(orderOf('fly-replay: instance=a1'), { ...none, instance: 'a1' });
  assert.deepEqual(orderOf('Fly-Replay: region=ams;state=x'), { ...none, regions: ['ams'], state: 'x' });
  assert.deepEqual(orderOf('fly-replay: region="ams, ord";app=shop'), {
    ...none,
    regions: ['ams', 'ord'],
    app: 'shop',
  });
  assert.deepEqual(orderOf('fly-replay: elsewhere=true'), { ...none, elsewhere: true });
  assert.deepEqual(orderOf('skein-replay: primary'), { ...none, toPrimary: true });
  for (const line of [
    'fly-replay:',
    'fly-replay: nonsense',
    'skein-replay: other',
    'x: y',
    'fly-replay: state=a',
  ])
    assert.equal(orderOf(line), undefined, line);
});

test('the next one is told where a request comes from', () => {
  const source = { node: 'a', region: 'ams' };
  assert.equal(
    replaySourceLine(source, 's', 1.5),
    'fly-replay-src: instance=a;region=ams;t=1500;state=s\r\n',
  );
  assert.equal(replaySourceLine(source, undefined, 2), 'fly-replay-src: instance=a;region=ams;t=2000\r\n');
});
