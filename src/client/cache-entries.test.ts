import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Stamp } from './bus-frames.ts';
import { type CacheChange, CacheEntries } from './cache-entries.ts';
import { compareStamps } from './hybrid-clock.ts';

const roomy = 1 << 20;
const seed = 20_211;

type Delivery = { readonly put: CacheChange } | { readonly clear: Stamp };

/** Stamps are unique to a write, as a clock with a writer's name makes them. */
const stamps: fc.Arbitrary<Stamp> = fc.tuple(
  fc.integer({ min: 1, max: 4 }),
  fc.integer({ min: 0, max: 2 }),
  fc.constantFrom('a', 'b', 'c'),
);
const deliveries: fc.Arbitrary<Delivery[]> = fc
  .uniqueArray(stamps, { selector: String, maxLength: 12 })
  .chain((unique) =>
    fc.tuple(
      ...unique.map((stamp) =>
        fc.oneof(
          { weight: 8, arbitrary: puts(stamp) },
          { weight: 1, arbitrary: fc.constant({ clear: stamp }) },
        ),
      ),
    ),
  );

function puts(stamp: Stamp): fc.Arbitrary<Delivery> {
  return fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.boolean()).map(([key, isDeletion]) => {
    const text = isDeletion ? undefined : JSON.stringify(`${key} ${stamp.join('.')}`);
    return { put: { key, stamp, text, leftMs: isDeletion ? 0 : 60_000 } };
  });
}

function deliver(entries: CacheEntries, delivery: Delivery): void {
  if ('clear' in delivery) entries.clear(delivery.clear);
  else entries.apply(delivery.put);
}

function copyOf(delivered: readonly Delivery[], maxBytes = roomy): CacheEntries {
  const entries = new CacheEntries({ maxBytes, tombstoneMs: 60_000, nowMs: () => 0 });
  for (const delivery of delivered) deliver(entries, delivery);
  return entries;
}

function exchange(one: CacheEntries, other: CacheEntries): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ]) {
    if (from.cleared) to.clear(from.cleared);
    for (const change of from.changes()) to.apply(change);
  }
}

function contents(entries: CacheEntries): Record<string, unknown> {
  return Object.fromEntries(
    entries
      .keys()
      .sort()
      .map((key) => [key, entries.get(key)]),
  );
}

test('the same changes in any order, some of them twice, make the same copy', () => {
  const anyOrder = deliveries.chain((all) =>
    fc.record({
      first: fc.constant(all),
      second: fc
        .shuffledSubarray([...all, ...all], { minLength: 2 * all.length })
        .map((shuffled) => shuffled),
    }),
  );
  fc.assert(
    fc.property(anyOrder, ({ first, second }) => {
      const [one, other] = [copyOf(first), copyOf(second)];
      assert.deepEqual(contents(one), contents(other));
      assert.equal(one.digest, other.digest);
      assert.equal(one.bytes, other.bytes);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('copies that got different parts of the changes are the same once they exchange what they have', () => {
  const parts = deliveries.chain((all) =>
    fc.record({
      all: fc.constant(all),
      one: fc.shuffledSubarray(all),
      other: fc.shuffledSubarray(all),
    }),
  );
  fc.assert(
    fc.property(parts, ({ one: oneGot, other: otherGot }) => {
      const [one, other] = [copyOf(oneGot), copyOf(otherGot)];
      exchange(one, other);
      const both = copyOf([...oneGot, ...otherGot]);
      assert.deepEqual(contents(one), contents(both));
      assert.deepEqual(contents(other), contents(both));
      assert.equal(one.digest, other.digest);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('whatever was driven out, a copy never shows anything but the newest of what it got', () => {
  const inOrder = deliveries.chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));
  fc.assert(
    fc.property(inOrder, fc.integer({ min: 130, max: 420 }), (all, maxBytes) => {
      const copy = new CacheEntries({ maxBytes, tombstoneMs: 60_000, nowMs: () => 0 });
      const newest = new Map<string, CacheChange>();
      for (const delivery of all) {
        deliver(copy, delivery);
        if ('put' in delivery) {
          const before = newest.get(delivery.put.key);
          if (!before || compareStamps(delivery.put.stamp, before.stamp) > 0)
            newest.set(delivery.put.key, delivery.put);
        }
        assert.ok(copy.bytes <= maxBytes);
        for (const key of copy.keys())
          assert.equal(JSON.stringify(copy.get(key)), newest.get(key)?.text, `${key} is the newest`);
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a value ends with its time, and what it took the place of does not come back', () => {
  let nowMs = 0;
  const entries = new CacheEntries({ maxBytes: roomy, tombstoneMs: 10_000, nowMs: () => nowMs });
  entries.apply({ key: 'x', stamp: [2, 0, 'a'], text: '"short"', leftMs: 500 });
  assert.equal(entries.get('x'), 'short');
  nowMs = 500;
  assert.equal(entries.get('x'), undefined);
  const older: CacheChange = { key: 'x', stamp: [1, 0, 'a'], text: '"older"', leftMs: 60_000 };
  for (nowMs = 600; nowMs < 30_000; nowMs += 900) {
    entries.sweep();
    assert.equal(entries.apply(older), false, `at ${nowMs} ms`);
    assert.equal(entries.get('x'), undefined);
  }
  assert.equal(entries.bytes, 0, 'nothing is left of it');
  assert.ok(entries.apply({ ...older, stamp: [3, 0, 'a'] }));
  assert.equal(entries.get('x'), 'older');
});

test('the least recently used make way, and one that is too large drives out no other', () => {
  const entries = new CacheEntries({ maxBytes: 3 * 130, tombstoneMs: 10_000, nowMs: () => 0 });
  for (const [index, key] of ['a', 'b', 'c'].entries())
    entries.apply({ key, stamp: [1, index, 'w'], text: '1', leftMs: 1_000 });
  entries.get('a');
  entries.apply({ key: 'd', stamp: [2, 0, 'w'], text: '1', leftMs: 1_000 });
  assert.deepEqual(entries.keys().sort(), ['a', 'c', 'd']);
  entries.apply({ key: 'a', stamp: [3, 0, 'w'], text: `"${'x'.repeat(1_000)}"`, leftMs: 1_000 });
  assert.deepEqual(entries.keys().sort(), ['c', 'd'], 'what it would have replaced is gone');
});

test('a value is frozen, and the same object each time', () => {
  const entries = copyOf([{ put: { key: 'x', stamp: [1, 0, 'a'], text: '{"deep":[{}]}', leftMs: 1_000 } }]);
  const value = entries.get('x') as { deep: object[] };
  assert.throws(() => value.deep.push({}), TypeError);
  assert.equal(entries.get('x'), value);
});
