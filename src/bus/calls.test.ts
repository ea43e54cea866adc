import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonicMs } from '../base/clock.ts';
import { checksum, formatPosition, type Position, txid } from '../ltx/position.ts';
import type { Replication } from '../node/replication.ts';
import type { PlacedCall } from './call.ts';
import { CallRunner } from './call-runner.ts';
import { Calls } from './calls.ts';
import type { FromPeer, PeerFrame } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import type { ProcessLink } from './process-link.ts';

function at(n: number, chain = 1n): Position {
  return { txid: txid(n), checksum: checksum((1n << 63n) | (chain << 32n) | BigInt(n)) };
}

/** A replica whose one database is where the test says, on a chain that its log knows from `since` on. */
class FollowingCopy {
  #position = at(0);
  #chain = 1n;
  #since = 0;
  #listener: () => void = () => undefined;
  readonly replication = {
    role: 'replica',
    position: () => this.#position,
    contradicts: (_name: string, { txid: asked, checksum: sum }: Position) =>
      asked <= this.#position.txid &&
      (asked < this.#since || sum !== at(Number(asked), this.#chain).checksum),
    onProgress: (listener: () => void) => {
      this.#listener = listener;
      return () => undefined;
    },
  } as unknown as Replication;

  move(n: number, chain = 1n, since = this.#since): void {
    this.#position = at(n, chain);
    this.#chain = chain;
    this.#since = since;
    this.#listener();
  }
}

const call: PlacedCall = {
  name: 'like',
  args: '[1]',
  idempotent: false,
  nested: false,
  durability: 'default',
  deadlineMs: monotonicMs() + 60_000,
};

/** Calls of a replica, and the link to a primary that the test plays. */
function replica() {
  const copy = new FollowingCopy();
  const sent: PeerFrame[] = [];
  const linkTo = (node: string, run: string, leadsIn?: number) => {
    const send = (frame: PeerFrame) => {
      sent.push(frame);
      return true;
    };
    return { leadsIn, send, peer: { node, run } } as unknown as PeerLink;
  };
  const link = linkTo('ams', 'first run', 1);
  const runner = new CallRunner({
    replication: () => copy.replication,
    mayWrite: () => false,
    lookForNew: async () => undefined,
    changed: () => undefined,
  });
  const links = [link];
  const heard = { epoch: 1 };
  const calls = new Calls({
    runner,
    replication: () => copy.replication,
    epoch: () => heard.epoch,
    links: () => links,
  });
  const place = (options: Partial<PlacedCall> = {}, signal = new AbortController().signal) =>
    calls.place({ ...call, ...options }, {} as ProcessLink, signal);
  const answer = (
    outcome: Pick<Extract<FromPeer, { t: 'outcome' }>, 'kind'> & { readonly durable?: boolean },
    position?: Position,
    over = link,
  ) => {
    const last = sent.at(-1);
    assert.ok(last && 'id' in last);
    const positions: Record<string, string> = position ? { 'app.db': formatPosition(position) } : {};
    calls.takeOutcome(over, { t: 'outcome', id: last.id, durable: true, positions, ...outcome }, '"liked"');
  };
  /** What came in the place of the link, if anything did. */
  const lose = (...others: PeerLink[]) => {
    links.splice(0, links.length, ...others);
    calls.lost(link);
  };
  return { copy, sent, link, links, heard, linkTo, lose, calls, place, answer };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const turn = new Promise((resolve) => setTimeout(resolve, 20, pending));
  return (await Promise.race([promise, turn])) === pending;
}

test('the answer waits until this node has what the function wrote', async () => {
  const { copy, place, answer } = replica();
  copy.move(4);
  const placed = place();
  answer({ kind: 'done' }, at(6));
  assert.ok(await isPending(placed));
  copy.move(5);
  assert.ok(await isPending(placed));
  copy.move(6);
  const outcome = await placed;
  assert.deepEqual([outcome.kind, 'text' in outcome && outcome.text], ['done', '"liked"']);
});

test('a copy of another chain that counts further is not taken for one that has it', async () => {
  const { copy, sent, place, answer } = replica();
  copy.move(9, 7n);
  const placed = place();
  answer({ kind: 'done' }, at(6));
  assert.ok(await isPending(placed));
  // The primary's state came as a whole: its log does not know of the position that was told.
  copy.move(7, 1n, 7);
  while (sent.at(-1)?.t !== 'where') await isPending(placed);
  answer({ kind: 'done' }, at(8));
  assert.ok(await isPending(placed));
  copy.move(8);
  assert.equal((await placed).kind, 'done');
});

test('what no candidate had is unknown once another leads, whether this node holds it by then or not, and what one had is not', async () => {
  const noticed: ((parts: ReturnType<typeof replica>) => void)[] = [
    ({ heard }) => {
      heard.epoch = 2;
    },
    ({ links, linkTo }) => void links.push(linkTo('ord', 'its run', 2)),
  ];
  for (const notice of noticed) {
    const later = replica();
    const waits = later.place();
    later.answer({ kind: 'done', durable: false }, at(6));
    assert.ok(await isPending(waits));
    notice(later);
    assert.deepEqual(await waits, { kind: 'unknown' });

    const before = replica();
    before.copy.move(6);
    const told = [before.place(), before.place()];
    notice(before);
    before.answer({ kind: 'done', durable: false }, at(6));
    assert.deepEqual(await told[1], { kind: 'unknown' });
    before.calls.takeOutcome(
      before.link,
      { t: 'outcome', id: 1, kind: 'done', durable: true, positions: {} },
      '"liked"',
    );
    assert.equal((await told[0]).kind, 'done');
  }
});

test('a call that was refused before it began is offered again, one that was sent is not', async () => {
  const { copy, sent, lose, linkTo, place, answer } = replica();
  copy.move(9);
  const placed = place();
  answer({ kind: 'again' });
  while (sent.filter(({ t }) => t === 'call').length < 2) await isPending(placed);
  lose(linkTo('ams', 'second run', 1));
  assert.deepEqual(await placed, { kind: 'unknown' });
  assert.equal(sent.length, 2);
});

test('a call whose link was lost is asked for by its id over the next one, as often as it takes', async () => {
  const { sent, lose, linkTo, calls, links, place, answer } = replica();
  const placed = place();
  lose(linkTo('ord', 'its run'));
  assert.ok(await isPending(placed));
  assert.equal(sent.length, 1, 'another node is not asked');
  const second = linkTo('ams', 'first run', 1);
  links.push(second);
  calls.changed();
  links.splice(links.indexOf(second), 1);
  calls.lost(second);
  const third = linkTo('ams', 'first run');
  links.push(third);
  calls.changed();
  assert.deepEqual(
    sent.map((frame) => [frame.t, 'id' in frame && frame.id]),
    [
      ['call', 1],
      ['inquire', 1],
      ['inquire', 1],
    ],
  );
  answer({ kind: 'done' }, undefined, second);
  assert.ok(await isPending(placed), 'what comes over a link that is lost is not heard');
  answer({ kind: 'done' }, undefined, third);
  assert.equal((await placed).kind, 'done');
});

test('one that certainly has not begun is made again, one of which nobody knows is not', async () => {
  for (const kind of ['again', 'unknown'] as const) {
    const { sent, lose, linkTo, place, answer } = replica();
    const placed = place();
    const next = linkTo('ams', 'first run', 1);
    lose(next);
    answer({ kind }, undefined, next);
    if (kind === 'unknown') {
      assert.deepEqual(await placed, { kind });
      continue;
    }
    while (sent.filter(({ t }) => t === 'call').length < 2) await isPending(placed);
    answer({ kind: 'done' }, undefined, next);
    assert.equal((await placed).kind, 'done');
  }
});

test('a call whose link was lost is given up when another leads, when its time is over, and when it is cancelled', async () => {
  const successor = replica();
  const lost = successor.place();
  successor.lose(successor.linkTo('ord', 'its run', 1));
  assert.ok(await isPending(lost), 'of the same epoch');
  successor.links[0].leadsIn = 2;
  successor.calls.changed();
  assert.deepEqual(await lost, { kind: 'unknown' });

  const late = replica();
  const ending = new AbortController();
  const given = late.place({}, ending.signal);
  late.lose();
  ending.abort();
  assert.deepEqual(await given, { kind: 'unknown' });
  late.links.push(late.linkTo('ams', 'first run', 1));
  late.calls.changed();
  assert.equal(late.sent.length, 1, 'nobody asks for it any more');
});

test('one that may run twice is sent again when its outcome is unknown', async () => {
  const { sent, link, calls, place, answer } = replica();
  const placed = place({ idempotent: true });
  // What may be run twice is not asked for.
  calls.lost(link);
  while (sent.filter(({ t }) => t === 'call').length < 2) await isPending(placed);
  answer({ kind: 'done' });
  assert.equal((await placed).kind, 'done');
});

test('while nobody leads a call waits, and ends with its signal without having been sent', async () => {
  const { sent, links, calls, place } = replica();
  const [link] = links.splice(0);
  const ending = new AbortController();
  const [given, kept] = [place({}, ending.signal), place()];
  assert.ok(await isPending(given));
  ending.abort();
  const outcome = await given;
  assert.equal(outcome.kind === 'refused' && outcome.error.code, 'PRIMARY_UNREACHABLE');
  assert.equal(sent.length, 0);
  links.push(link);
  calls.changed();
  while (sent.length === 0) await isPending(kept);
  assert.equal(sent.at(0)?.t, 'call');
});

test('one that is given up after it was sent ends as the primary says, or with an unknown outcome', async () => {
  const { sent, place, answer } = replica();
  const ending = new AbortController();
  const [told, silent] = [place({}, ending.signal), place({}, ending.signal)];
  ending.abort();
  assert.deepEqual(
    sent.map(({ t }) => t),
    ['call', 'call', 'cancel', 'cancel'],
  );
  answer({ kind: 'again' });
  const outcomes = await Promise.all([told, silent]);
  assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['refused', 'unknown']);
});
