import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { PrimaryDatabase } from '../database/primary-database.ts';
import type { RestingDatabase } from '../database/resting-database.ts';
import { databaseName, TestNode } from '../database/test-support.ts';
import type { Position } from '../ltx/position.ts';
import { LeadEnd } from './lead-end.ts';

type Ended = {
  readonly node: TestNode;
  readonly resting: RestingDatabase;
  readonly end: LeadEnd;
  readonly names: string[];
  /** What a request saw that came when the lead began, and one that came at its end. */
  readonly first: ReadonlyMap<string, Position>;
  readonly last: ReadonlyMap<string, Position>;
};

/** A lead in which the app has committed once, and which is over. */
async function end(t: TestContext): Promise<Ended> {
  const node = new TestNode(t);
  const app = node.app(t);
  const primary = await node.primary(t);
  const first = new Map([[databaseName, primary.position]]);
  app.exec('INSERT INTO t VALUES (1, randomblob(100))');
  await primary.capture();
  const last = new Map([[databaseName, primary.position]]);
  assert.ok(await primary.fence(1_000));
  const resting = await primary.rest();
  const names = [databaseName];
  return { node, resting, end: new LeadEnd({ databaseNames: () => names }, [resting]), names, first, last };
}

test('a lead has stayed where it ended, and nowhere that it was before', async (t) => {
  const { end: ended, first, last } = await end(t);
  assert.deepEqual([ended.hasStayedAt(last), ended.hasStayedAt(first)], [true, false]);
  assert.equal(ended.hasStayedAt(new Map()), false);
  assert.equal(ended.hasStayedAt(new Map([...last, ['b.db', [...last.values()][0]]])), false);
});

test('once programs could write again, it is not certain any more, whoever holds the lock by then', async (t) => {
  const { node, resting, end: ended, last } = await end(t);
  const again = PrimaryDatabase.adopt(node.context, resting);
  assert.ok(ended.hasStayedAt(last), 'the fence is handed on');
  again.unfence();
  assert.ok(await again.fence(1_000));
  assert.equal(ended.hasStayedAt(last), false);
  await again.close();
});

test('a file that is no database of the lead makes it uncertain, and so does one that is gone', async (t) => {
  const { resting, end: ended, names, last } = await end(t);
  names.push('new.db');
  assert.equal(ended.hasStayedAt(last), false);
  names.pop();
  assert.ok(ended.hasStayedAt(last));
  resting.files.close();
  assert.equal(ended.hasStayedAt(last), false);
});
