import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { temporaryDirectory } from '../base/test-support.ts';
import { positionsEqual } from '../ltx/position.ts';
import { Log } from './log.ts';
import { append, positionAt, readRecord } from './test-support.ts';

const limits = { retentionMs: 3_600_000, bytesMax: 150_000 };

/** What a log is: a first position and records in order. */
type Model = { base: number; records: { end: number; file: Buffer }[] };

type Step =
  | { readonly kind: 'append'; readonly commits: number; readonly pages: number }
  | { readonly kind: 'abort'; readonly bytes: number }
  | { readonly kind: 'reset'; readonly to: number }
  | { readonly kind: 'truncate'; readonly back: number }
  | { readonly kind: 'reopen' | 'enforce' };

const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      commits: fc.integer({ min: 1, max: 9 }),
      pages: fc.integer({ min: 0, max: 1_500 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), bytes: fc.nat(600_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('reset' as const), to: fc.integer({ min: 1, max: 900 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), back: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('reopen' as const, 'enforce' as const) }) },
);

class Pair {
  log: Log;
  readonly #directory: string;
  readonly model: Model = { base: 1, records: [] };

  constructor(directory: string) {
    this.#directory = directory;
    this.log = new Log(directory, limits);
    this.log.reset(positionAt(1));
  }

  take(step: Step): void {
    const { model, log } = this;
    if (step.kind === 'append') {
      const { record, file } = append(log, step);
      model.records.push({ end: record.header.maxTxid, file });
    } else if (step.kind === 'abort') {
      const writer = log.begin();
      for (let done = 0; done < step.bytes; done += 50_000) writer.write(Buffer.alloc(50_000, 1));
      writer.abort();
    } else if (step.kind === 'reset') {
      log.reset(positionAt(step.to));
      Object.assign(model, { base: step.to, records: [] });
    } else if (step.kind === 'truncate') {
      const keep = Math.max(0, model.records.length - step.back);
      model.records.length = keep;
      log.truncateAfter(positionAt(model.records.at(-1)?.end ?? model.base));
    } else if (step.kind === 'reopen') {
      log.close();
      this.log = new Log(this.#directory, limits);
    } else {
      const before = log.base.txid;
      const dropped = log.enforceLimits(undefined);
      assert.equal(dropped > 0, log.base.txid !== before);
      model.records = model.records.filter(({ end }) => end > log.base.txid);
      model.base = log.base.txid;
    }
  }

  check(): void {
    const { model, log } = this;
    assert.deepEqual(log.base, positionAt(model.base));
    assert.deepEqual(log.tail, positionAt(model.records.at(-1)?.end ?? model.base));
    let cursor = log.find(positionAt(model.base));
    for (const { end, file } of model.records) {
      assert.ok(cursor, `a place before ${end}`);
      const next = log.next(cursor);
      assert.equal(next?.record.header.maxTxid, end);
      assert.ok(next && readRecord(next).equals(file));
      cursor = next?.after;
      assert.ok(cursor && positionsEqual(cursor.position, positionAt(end)));
      const found = log.find(positionAt(end));
      assert.ok(found && log.next(found)?.record.offset === log.next(cursor)?.record.offset);
    }
    assert.ok(cursor);
    assert.equal(log.next(cursor), undefined);
    const ends = new Set([model.base, ...model.records.map(({ end }) => end)]);
    for (let n = Number(log.tail.txid); n > Math.max(0, log.tail.txid - 20); n -= 1) {
      assert.equal(log.find(positionAt(n)) !== undefined, ends.has(n), `position ${n}`);
    }
  }
}

test('a log holds what a list of records would, through any order of calls', (t) => {
  const directory = temporaryDirectory(t);
  let run = 0;
  fc.assert(
    fc.property(fc.array(someStep, { maxLength: 40 }), (steps) => {
      run += 1;
      const pair = new Pair(join(directory, String(run)));
      try {
        for (const step of steps) {
          pair.take(step);
          pair.check();
        }
      } finally {
        pair.log.close();
      }
    }),
    { numRuns: 60 },
  );
});
