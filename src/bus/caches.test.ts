import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CacheEntries } from '../client/cache-entries.ts';
import { HybridClock } from '../client/hybrid-clock.ts';
import type { Line } from '../client/line-socket.ts';
import { Caches } from './caches.ts';
import { type FromPeer, type FromProcess, parseFromPeer } from './frames.ts';
import type { PeerLink } from './peer-link.ts';
import type { ProcessLink } from './process-link.ts';

const seed = 4_711;
const name = 'prices';
const nodeCount = 3;

/** One direction of a link: what was sent waits until the test delivers it, or is lost with the link. */
class Wire {
  readonly waiting: { head: FromPeer; body: string | undefined }[] = [];

  send = (head: object, body?: string): boolean => {
    this.waiting.push({ head: parseFromPeer(head as FromPeer), body });
    return true;
  };

  feed = (lines: Iterator<Line>): void => {
    for (let next = lines.next(); !next.done; next = lines.next())
      this.send(next.value.head, next.value.body);
  };
}

/** A node's caches, and one process of the app, which hears of everything at once. */
class Member {
  /** Machines' clocks differ. */
  readonly clock: HybridClock;
  readonly caches: Caches;
  readonly links = new Map<Member, { wire: Wire; link: PeerLink }>();
  readonly process = new CacheEntries({ maxBytes: 1 << 20, tombstoneMs: 60_000, nowMs: () => 0 });
  readonly #processLink: ProcessLink;

  constructor(index: number, nowMs: () => number) {
    this.clock = new HybridClock(`node-${index}`, () => nowMs() + index * 50);
    this.caches = new Caches(() => [...this.links.values()].map(({ link }) => link), this.clock);
    const send = (head: FromPeer, body?: string) => {
      if (head.t === 'put')
        this.process.apply({ key: head.key, stamp: head.stamp, text: body, leftMs: head.left });
      if (head.t === 'clear') this.process.clear(head.stamp);
      return true;
    };
    this.#processLink = { send, feed: () => undefined } as unknown as ProcessLink;
    const open = { t: 'open', cache: name, ttlMs: 60_000, maxBytes: 1 << 20, digest: this.process.digest };
    this.caches.open(this.#processLink, open as Extract<FromProcess, { t: 'open' }>);
  }

  put(key: string, text: string | undefined): void {
    const stamp = this.clock.next();
    const left = text === undefined ? 0 : 60_000;
    this.process.apply({ key, stamp, text, leftMs: left });
    this.caches.putFromProcess(
      this.#processLink,
      { t: 'put', cache: name, key, stamp: [...stamp], left },
      text,
    );
  }

  clear(): void {
    const stamp = this.clock.next();
    this.process.clear(stamp);
    this.caches.clearFromProcess(this.#processLink, { t: 'clear', cache: name, stamp: [...stamp] });
  }

  connect(other: Member): void {
    const wire = new Wire();
    const link = { kept: new Set(), hasRoom: true, send: wire.send, feed: wire.feed } as unknown as PeerLink;
    this.links.set(other, { wire, link });
    this.caches.up(link);
  }

  disconnect(other: Member): void {
    const link = this.links.get(other)?.link;
    this.links.delete(other);
    if (link) this.caches.down(link);
  }

  /** Takes the oldest line that the other has sent. False when there is none. */
  take(from: Member): boolean {
    const line = from.links.get(this)?.wire.waiting.shift();
    const link = this.links.get(from)?.link;
    if (!line || !link) return false;
    const { head, body } = line;
    if (head.t === 'keep') this.caches.keep(link, head.cache, head.digest);
    if (head.t === 'put') this.caches.putFromPeer(head, body);
    if (head.t === 'clear') this.caches.clearFromPeer(head);
    return true;
  }

  contents(): Record<string, unknown> {
    const keys = this.process.keys().sort();
    return Object.fromEntries(keys.map((key) => [key, this.process.get(key)]));
  }
}

const member = fc.integer({ min: 0, max: nodeCount - 1 });
const pair = fc.tuple(member, member).filter(([one, other]) => one !== other);
const step = fc.oneof(
  fc.record({
    do: fc.constant('put' as const),
    at: member,
    key: fc.constantFrom('x', 'y', 'z'),
    gone: fc.boolean(),
  }),
  fc.record({ do: fc.constant('clear' as const), at: member }),
  fc.record({ do: fc.constant('cut' as const), pair }),
  fc.record({ do: fc.constant('heal' as const), pair }),
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      pair,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

function connect(one: Member, other: Member): void {
  if (one.links.has(other)) return;
  one.connect(other);
  other.connect(one);
}

/** Delivers everything, and what follows from it. */
function settle(members: readonly Member[]): void {
  for (let moved = true; moved; ) {
    moved = false;
    for (const to of members) for (const from of members) while (to.take(from)) moved = true;
  }
}

test('whatever was cut and healed in whatever order, all nodes and processes come to hold the same', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let nowMs = 1_000;
      const members = Array.from({ length: nodeCount }, (_, index) => new Member(index, () => nowMs));
      for (const [index, one] of members.entries())
        for (const other of members.slice(index + 1)) connect(one, other);
      for (const [index, taken] of steps.entries()) {
        nowMs += 1;
        if (taken.do === 'put') members[taken.at].put(taken.key, taken.gone ? undefined : `"value ${index}"`);
        if (taken.do === 'clear') members[taken.at].clear();
        if (!('pair' in taken)) continue;
        const [one, other] = taken.pair.map((at) => members[at]);
        if (taken.do === 'heal') connect(one, other);
        if (taken.do === 'deliver') for (let count = 0; count < taken.count; count += 1) one.take(other);
        if (taken.do === 'cut') {
          one.disconnect(other);
          other.disconnect(one);
        }
      }
      for (const [index, one] of members.entries())
        for (const other of members.slice(index + 1)) connect(one, other);
      settle(members);
      const [first, ...others] = members;
      for (const other of others) {
        assert.deepEqual(other.contents(), first.contents());
        assert.equal(other.process.digest, first.process.digest);
      }
    }),
    { seed, numRuns: 1_000 },
  );
});

/** A node's small copy of a cache, which nobody reads, and a process beside it that reads what it has. */
function smallCopy() {
  const maxBytes = 2_000;
  const caches = new Caches(() => [], new HybridClock('two', () => 1_000_000));
  const open = (digest: string, link: ProcessLink) =>
    caches.open(link, { t: 'open', cache: name, ttlMs: 3_600_000, maxBytes, digest } as Extract<
      FromProcess,
      { t: 'open' }
    >);
  const process = () => {
    const entries = new CacheEntries({ maxBytes, tombstoneMs: 60_000, nowMs: () => 0 });
    const send = (head: FromPeer, body?: string) => {
      if (head.t === 'put')
        entries.apply({ key: head.key, stamp: head.stamp, text: body, leftMs: head.left });
      return true;
    };
    const feed = (lines: Iterator<Line>) => {
      for (let next = lines.next(); !next.done; next = lines.next())
        send(next.value.head as FromPeer, next.value.body);
    };
    const link = { send, feed } as unknown as ProcessLink;
    open(entries.digest, link);
    return { entries, link };
  };
  const put = (key: string, text: string | undefined, ms: number) =>
    caches.putFromPeer(
      { t: 'put', cache: name, key, stamp: [ms, 0, 'one'], left: text ? 3_600_000 : 0 },
      text,
    );
  return { caches, process, put };
}

test('a process hears of a deletion, and of another value, although its node has forgotten what was newer', () => {
  const { process, put } = smallCopy();
  const { entries } = process();
  const hot = ['deleted', 'changed', 'untouched'];
  for (const key of hot) put(key, '"old"', 1_000);
  for (let count = 0; count < 60; count += 1) {
    for (const key of hot) assert.equal(entries.get(key), 'old');
    put(`other ${count}`, '"x"', 3_000 + count);
  }
  // What was done elsewhere while the two nodes were cut off comes now.
  put('deleted', undefined, 2_000);
  put('changed', '"new"', 2_000);
  assert.equal(entries.get('deleted'), undefined);
  assert.notEqual(entries.get('changed'), 'old');
  assert.equal(entries.get('untouched'), 'old');
  put('untouched', '"older"', 500);
  assert.equal(entries.get('untouched'), 'old');
  // One that came later never had the deletion of a key: what was set before that is no value to it.
  const { entries: later } = process();
  put('changed', '"new"', 2_000);
  assert.equal(later.get('changed'), undefined);
});

test('what is stamped more than a day ahead does not count: nothing could take its place', () => {
  const { caches, process, put } = smallCopy();
  const { entries, link } = process();
  put('x', '"for ever"', 2 ** 53 - 2);
  caches.clearFromPeer({ t: 'clear', cache: name, stamp: [2 ** 53 - 2, 0, 'one'] });
  caches.putFromProcess(
    link,
    { t: 'put', cache: name, key: 'y', stamp: [2 ** 53 - 2, 0, 'app'], left: 1_000 },
    '1',
  );
  assert.equal(entries.get('x'), undefined);
  put('x', '"now"', 1_000_000);
  assert.equal(entries.get('x'), 'now');
  assert.equal(process().entries.get('y'), undefined);
});
