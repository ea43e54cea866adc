import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Replication } from '../node/replication.ts';
import type { CallOutcome, PlacedCall } from './call.ts';
import { CallAnswers } from './call-answers.ts';
import { CallRunner } from './call-runner.ts';
import type { PeerFrame } from './frames.ts';
import type { PeerLink } from './peer-link.ts';

type Run = { readonly call: PlacedCall; begin(lead?: Replication): void; end(outcome: CallOutcome): void };

const done: CallOutcome = { kind: 'done', text: '1', durable: true, positions: {} };

/** A primary whose functions begin and end as the test says, and what it sends over each link. */
function primary() {
  const runs: Run[] = [];
  const state = { mayWrite: true };
  const standing = new CallRunner({
    replication: () => undefined,
    mayWrite: () => state.mayWrite,
    lookForNew: async () => undefined,
    changed: () => undefined,
  });
  const runner = {
    standing: standing.standing.bind(standing),
    run: (
      call: PlacedCall,
      _preferred: undefined,
      signal: AbortSignal,
      begins: (lead: Replication) => void,
    ) => {
      const { promise, resolve } = Promise.withResolvers<CallOutcome>();
      let hasBegun = false;
      runs.push({
        call,
        begin: (lead = leadOf()) => {
          hasBegun = true;
          begins(lead);
        },
        end: resolve,
      });
      signal.addEventListener('abort', () => resolve({ kind: hasBegun ? 'unknown' : 'again' }));
      return promise;
    },
  } as unknown as CallRunner;
  const answers = new CallAnswers(runner);
  const linkOf = (run = 'a run') => {
    const sent: string[] = [];
    const send = (frame: PeerFrame) => {
      assert.ok(frame.t === 'outcome');
      sent.push(`${frame.id} ${frame.kind}`);
      return true;
    };
    return { link: { peer: { run }, send } as unknown as PeerLink, sent };
  };
  const call = (link: PeerLink, id: number, { leftMs = 60_000, idempotent = false } = {}) =>
    answers.answer(
      link,
      {
        t: 'call',
        id,
        name: 'like',
        leftMs,
        idempotent,
        nested: false,
        durability: 'default',
      },
      '[]',
    );
  const inquire = (link: PeerLink, id: number) => answers.inquire(link, { t: 'inquire', id, leftMs: 60_000 });
  const turn = () => new Promise(setImmediate);
  return { answers, runs, state, linkOf, call, inquire, turn };
}

function leadOf(state: { isOver?: boolean; hasHandedOver?: boolean } = {}): Replication {
  return state as Replication;
}

test('a call whose link is lost while it runs goes on, and whoever asks for it gets its outcome when it ends', async () => {
  const { answers, runs, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf(), linkOf()];
  void call(first.link, 1);
  runs[0].begin();
  answers.lost(first.link);
  inquire(second.link, 1);
  await turn();
  assert.deepEqual(second.sent, [], 'it still runs');
  runs[0].end(done);
  await turn();
  assert.deepEqual([first.sent, second.sent, runs.length], [[], ['1 done'], 1]);
});

test('the link in its place may come before the end of the one that is lost', async () => {
  const { answers, runs, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf(), linkOf()];
  void call(first.link, 1);
  inquire(second.link, 1);
  answers.lost(first.link);
  await turn();
  runs[0].begin();
  runs[0].end(done);
  await turn();
  assert.deepEqual(second.sent, ['1 done'], 'it was not taken back, although it had not begun');
});

test('an answer that was sent and did not arrive is sent again, as often as it is asked for', async () => {
  const { answers, runs, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf(), linkOf()];
  void call(first.link, 1);
  runs[0].begin();
  runs[0].end(done);
  await turn();
  answers.lost(first.link);
  inquire(second.link, 1);
  inquire(second.link, 1);
  assert.deepEqual([first.sent, second.sent], [['1 done'], ['1 done', '1 done']]);
});

test('a call that waits for a process when its link is lost does not begin any more', async () => {
  const { answers, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf(), linkOf()];
  void call(first.link, 1);
  answers.lost(first.link);
  await turn();
  inquire(second.link, 1);
  assert.deepEqual(second.sent, ['1 again']);
});

test('a call that was asked for before it came never runs, however late it comes', async () => {
  const { runs, linkOf, call, inquire } = primary();
  const [first, second] = [linkOf(), linkOf()];
  inquire(second.link, 1);
  assert.deepEqual(second.sent, ['1 again']);
  await call(first.link, 1);
  assert.equal(runs.length, 0);
  void call(second.link, 2);
  assert.equal(runs.length, 1, 'the one that is made in its place does');
  void call(second.link, 2);
  assert.equal(runs.length, 1, 'once');
});

test('calls of another run, or of another node, are others', async () => {
  const { runs, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf('one'), linkOf('two')];
  void call(first.link, 1);
  runs[0].begin();
  runs[0].end(done);
  await turn();
  inquire(second.link, 1);
  assert.deepEqual(second.sent, ['1 again']);
});

test('what was forgotten is unknown, and never said not to have begun', async () => {
  const { runs, linkOf, call, inquire, turn } = primary();
  const { link, sent } = linkOf();
  const text = 'x'.repeat(1 << 20);
  for (let id = 1; id <= 12; id += 1) {
    void call(link, id);
    runs[id - 1].begin();
    runs[id - 1].end({ ...done, text });
    await turn();
  }
  sent.length = 0;
  for (const id of [1, 4, 12, 13]) inquire(link, id);
  assert.deepEqual(sent, ['1 unknown', '4 unknown', '12 done', '13 again']);
  sent.length = 0;
  await call(link, 2);
  assert.equal(runs.length, 12, 'nor run once more');
});

test('a write that nobody else had is unknown to whoever asks for it after the lead was lost, and done after it was handed over', async () => {
  for (const [hasHandedOver, told] of [
    [false, '1 unknown'],
    [true, '1 done'],
  ] as const) {
    const { answers, runs, state, linkOf, call, inquire, turn } = primary();
    const lead = { isOver: false, hasHandedOver: false };
    const [first, second] = [linkOf(), linkOf()];
    void call(first.link, 1);
    runs[0].begin(leadOf(lead));
    runs[0].end({ ...done, durable: false });
    await turn();
    inquire(second.link, 1);
    assert.deepEqual(second.sent.splice(0), ['1 done'], 'while the node leads');
    state.mayWrite = false;
    inquire(second.link, 1);
    answers.leadChanged();
    assert.deepEqual(second.sent, [], 'nobody knows yet');
    Object.assign(lead, { isOver: true, hasHandedOver });
    answers.leadChanged();
    assert.deepEqual(second.sent, [told]);
    state.mayWrite = true;
    inquire(second.link, 1);
    void call(second.link, 1);
    assert.deepEqual(second.sent, [told, told, told], 'also when it leads again, and however it is asked');
  }
});

test('a function that ends while nobody knows whether the lead is lost is answered when that is known', async () => {
  for (const idempotent of [false, true]) {
    const { answers, runs, state, linkOf, call, turn } = primary();
    const { link, sent } = linkOf();
    const lead = { isOver: false, hasHandedOver: false };
    void call(link, 1, { idempotent });
    runs[0].begin(leadOf(lead));
    state.mayWrite = false;
    runs[0].end({ ...done, durable: false });
    await turn();
    assert.deepEqual(sent, idempotent ? ['1 unknown'] : [], 'what may run twice is made again');
    lead.isOver = true;
    answers.leadChanged();
    assert.deepEqual(sent, ['1 unknown']);
  }
});

test('what another node had stays done when the lead is lost', async () => {
  const { answers, runs, linkOf, call, inquire, turn } = primary();
  const { link, sent } = linkOf();
  const lead = { isOver: false, hasHandedOver: false };
  void call(link, 1);
  runs[0].begin(leadOf(lead));
  runs[0].end(done);
  await turn();
  lead.isOver = true;
  answers.leadChanged();
  inquire(link, 1);
  assert.deepEqual(sent, ['1 done', '1 done']);
});

test('what outcomes take is counted with their errors and positions', async () => {
  const error = { name: 'Error', message: 'x'.repeat(20_000) };
  const names = Array.from({ length: 200 }, (_, index) => `tenant-${index}.db`);
  const positions = Object.fromEntries(names.map((name) => [name, '0'.repeat(33)]));
  for (const large of [{ error }, { positions }]) {
    const { runs, linkOf, call, inquire, turn } = primary();
    const { link, sent } = linkOf();
    for (let id = 1; id <= 600; id += 1) {
      void call(link, id);
      runs[id - 1].begin();
      runs[id - 1].end({ ...done, ...large });
    }
    await turn();
    sent.length = 0;
    for (const id of [1, 150, 600]) inquire(link, id);
    assert.deepEqual(sent, ['1 unknown', '150 unknown', '600 done'], Object.keys(large)[0]);
  }
});

test('results of calls that may run twice are not kept, and drive out no others', async () => {
  const { runs, linkOf, call, inquire, turn } = primary();
  const { link, sent } = linkOf();
  const text = 'x'.repeat(1 << 20);
  for (let id = 1; id <= 13; id += 1) {
    void call(link, id, { idempotent: id > 1 });
    runs[id - 1].begin();
    runs[id - 1].end({ ...done, text });
    await turn();
  }
  sent.length = 0;
  inquire(link, 1);
  assert.deepEqual(sent, ['1 done']);
});

test('a run whose caller is not heard of again is waited for as long as the call lasts', async () => {
  const { answers, runs, linkOf, call, inquire, turn } = primary();
  const [first, second] = [linkOf(), linkOf()];
  const awake = setInterval(() => undefined, 1_000);
  const answered = call(first.link, 1, { leftMs: 100 });
  runs[0].begin();
  answers.lost(first.link);
  await answered;
  clearInterval(awake);
  inquire(second.link, 1);
  await turn();
  assert.deepEqual(second.sent, ['1 unknown']);
});

test('after callers were dropped, nothing is said for certain of those that come', () => {
  const { linkOf, inquire } = primary();
  const first = linkOf('first');
  inquire(first.link, 1);
  for (let run = 0; run < 300; run += 1) inquire(linkOf(`run ${run}`).link, 1);
  const again = linkOf('first');
  inquire(again.link, 1);
  assert.deepEqual([first.sent, again.sent], [['1 again'], ['1 unknown']]);
});
