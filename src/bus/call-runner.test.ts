import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonicMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { checksum, type Position, txid } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import type { PlacedCall } from './call.ts';
import { CallRunner } from './call-runner.ts';
import type { ProcessLink } from './process-link.ts';

const call: PlacedCall = {
  name: 'like',
  args: '[]',
  idempotent: false,
  nested: false,
  durability: 'replica',
  deadlineMs: monotonicMs() + 60_000,
};

/** A primary on which the function writes, with a disk that is full until the test makes room. */
function primary() {
  const state = { isFull: true, written: 5, problems: new Map<string, string>(), isOver: false };
  const at = (n: number): Position => ({ txid: txid(n), checksum: checksum((1n << 63n) | BigInt(n)) });
  let captured = at(5);
  const replication = {
    role: 'primary',
    get isOver() {
      return state.isOver;
    },
    databases: () => [{ name: 'app.db', position: captured }],
    position: (name: string) => (name === 'app.db' ? captured : undefined),
    problems: () => state.problems,
    currentPosition: async () => {
      if (state.isFull) throw new SkeinError('DISK_FULL', 'The disk is full.');
      captured = at(state.written);
      return captured;
    },
    isDurable: () => true,
    replicas: () => [{ connected: true, candidate: true }],
    onProgress: () => () => undefined,
  } as unknown as Replication;
  const runner = new CallRunner({
    replication: () => replication,
    mayWrite: () => !state.isOver,
    lookForNew: async () => undefined,
    changed: () => undefined,
  });
  const process = {
    served: new Set(['like']),
    send: ({ id }: { id: number }) => {
      state.written = 6;
      queueMicrotask(() => runner.ran(process, id, { text: '1', error: undefined }));
      return true;
    },
  } as unknown as ProcessLink;
  runner.add(process);
  runner.resume();
  const run = (options: Partial<PlacedCall>, preferred?: ProcessLink, withinMs = 600) =>
    runner.run({ ...call, ...options }, preferred, AbortSignal.timeout(withinMs));
  return { state, process, run };
}

test('what cannot be captured counts as written, and as held by nobody', async () => {
  const { process, run } = primary();
  const awake = setInterval(() => undefined, 1_000);
  for (const [durability, from] of [['replica'], ['replica', process], ['default'], ['local']] as const) {
    const outcome = await run({ durability }, from);
    assert.ok(outcome.kind === 'done', durability);
    assert.deepEqual([outcome.durable, outcome.error?.code], [false, 'WAIT_TIMEOUT'], durability);
    assert.equal(outcome.text, '1', 'with its result');
  }
  const own = await run({ durability: 'default' }, process);
  assert.ok(own.kind === 'done');
  assert.deepEqual([own.durable, own.error], [false, undefined], 'a caller beside it reads what it wrote');
  clearInterval(awake);
});

test('the answer waits for what can be captured a moment later, and is unknown when the lead ends before', async () => {
  const { state, run } = primary();
  const placed = run({}, undefined, 60_000);
  setTimeout(() => {
    state.isFull = false;
  }, 100);
  const outcome = await placed;
  assert.ok(outcome.kind === 'done');
  assert.deepEqual([outcome.durable, outcome.error], [true, undefined]);
  assert.match(outcome.positions['app.db'] ?? '', /^0{15}6/);
  state.isFull = true;
  const lost = run({}, undefined, 60_000);
  setTimeout(() => {
    state.isOver = true;
  }, 100);
  assert.deepEqual(await lost, { kind: 'unknown' });
});

test('a database that was made meanwhile and cannot be opened counts too, one that never could does not', async () => {
  const { state, process, run } = primary();
  state.isFull = false;
  state.problems.set('broken.db', 'it is no database');
  const outcome = await run({});
  assert.ok(outcome.kind === 'done' && outcome.durable);
  setTimeout(() => state.problems.delete('tenant.db'), 100);
  const send = process.send.bind(process);
  Object.assign(process, {
    send: (...args: Parameters<ProcessLink['send']>) => {
      state.problems.set('tenant.db', 'it is locked');
      return send(...args);
    },
  });
  const late = await run({ durability: 'replica' });
  assert.ok(late.kind === 'done');
  assert.deepEqual([late.durable, late.error], [true, undefined]);
  assert.equal(state.problems.has('tenant.db'), false, 'not before');
});
