import assert from 'node:assert/strict';
import type { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { PageChecksums } from '../ltx/page-checksums.ts';
import { sqlitePages } from '../sqlite/test-support.ts';
import type { PrimaryDatabase } from './primary-database.ts';
import type { ReplicaDatabase } from './replica-database.ts';
import { writeChangedPages } from './snapshot.ts';
import { applyBytes, follow, installFrom, pagesOf, scanOf, TestNode } from './test-support.ts';

type Step =
  | { readonly kind: 'write'; readonly sql: string; readonly times: number }
  | { readonly kind: 'recycle' | 'reopen-primary' | 'reopen-replica' | 'reopen-app' }
  | { readonly kind: 'write-while-away'; readonly times: number };

const writes = fc.constantFrom(
  'INSERT INTO t VALUES (NULL, randomblob(9000))',
  'UPDATE t SET v = randomblob(300) WHERE id % 3 = 1',
  'DELETE FROM t WHERE id % 2 = 0',
  'VACUUM',
);
const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      sql: writes,
      times: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'recycle' as const,
        'reopen-primary' as const,
        'reopen-replica' as const,
        'reopen-app' as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('write-while-away' as const),
      times: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

/** A primary, the app that writes to it, and a replica that follows, each of which may go away and come back. */
class Trio {
  readonly #t: TestContext;
  readonly one: TestNode;
  readonly two: TestNode;
  #app: DatabaseSync;
  #primary: PrimaryDatabase | undefined;
  #replica: ReplicaDatabase | undefined;

  constructor(t: TestContext) {
    this.#t = t;
    this.one = new TestNode(t, { recycleFrames: 30 });
    this.two = new TestNode(t, { recycleFrames: 50 });
    this.#app = this.one.app(t, 'PRAGMA auto_vacuum=FULL');
  }

  get primary(): PrimaryDatabase {
    assert.ok(this.#primary);
    return this.#primary;
  }

  get replica(): ReplicaDatabase {
    assert.ok(this.#replica);
    return this.#replica;
  }

  async start(): Promise<void> {
    this.#primary = await this.one.primary(this.#t);
    this.#replica = await installFrom(this.#t, this.#primary, this.two);
    follow(this.#primary, this.#replica);
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'write') {
      for (let index = 0; index < step.times; index += 1) this.#app.exec(step.sql);
    } else if (step.kind === 'recycle') {
      this.primary.recycleIfDue();
      (await this.primary.pin()).release();
      await this.replica.recycleIfDue();
    } else if (step.kind === 'reopen-app') {
      this.#app.close();
      this.#app = this.one.app(this.#t);
    } else if (step.kind === 'reopen-replica') {
      await this.primary.capture();
      await this.replica.close();
      this.#replica = await this.two.replica(this.#t);
      await this.#reopenPrimary();
    } else {
      await this.#reopenPrimary(step.kind === 'write-while-away' ? step.times : 0);
    }
  }

  /** The app writes `times` meanwhile; its own checkpoints are off, so that the WAL has it all. */
  async #reopenPrimary(times = 0): Promise<void> {
    await this.primary.close();
    this.#app.exec('PRAGMA wal_autocheckpoint=0');
    for (let index = 0; index < times; index += 1)
      this.#app.exec('INSERT INTO t VALUES (NULL, randomblob(5000))');
    this.#primary = await this.one.primary(this.#t);
    if (times > 0 && !this.#primary.parts.log.find(this.replica.position)) await this.#sendChangedPages();
    follow(this.#primary, this.replica);
  }

  /** What was written while nobody looked cannot always be told commit by commit. */
  async #sendChangedPages(): Promise<void> {
    const pin = await this.primary.pin();
    const chunks: Buffer[] = [];
    const theirs = PageChecksums.decode(this.replica.pageSize, this.replica.pageChecksums());
    const input = { ...pin, nodeId: 7n, timestampMs: 1 };
    const write = (chunk: Uint8Array) => chunks.push(Buffer.from(chunk));
    await writeChangedPages(input, theirs, write, new AbortController().signal);
    pin.release();
    applyBytes(this.replica, Buffer.concat(chunks), 'changed');
  }

  async check(): Promise<void> {
    await this.primary.capture();
    const pages = pagesOf(this.primary.files);
    assert.ok(pages.equals(sqlitePages(this.#app)));
    assert.ok(pages.equals(pagesOf(this.replica.files)));
    assert.deepEqual(this.replica.position, this.primary.position);
    assert.equal(this.primary.position.checksum, (await scanOf(this.primary.files)).checksum);
  }

  async stop(): Promise<void> {
    this.#app.close();
    await this.primary.close();
    await this.replica.close();
  }
}

test('restarts and recycles in any order break no chain and lose no commit', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(someStep, { minLength: 3, maxLength: 15 }), async (steps) => {
      const trio = new Trio(t);
      await trio.start();
      for (const step of steps) {
        await trio.take(step);
        await trio.check();
      }
      const broken = [...trio.one.notices, ...trio.two.notices].filter((notice) => !/recycled/.test(notice));
      if (!steps.some(({ kind }) => kind === 'write-while-away')) assert.deepEqual(broken, []);
      await trio.stop();
    }),
    { numRuns: 12 },
  );
});
