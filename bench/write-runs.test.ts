import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handoffsOf, isClean, rowsOf, WriteRuns } from './write-runs.ts';

/** Commits of one writer, as pairs of an id and a time. */
function runsOf(node: string, commits: readonly (readonly [number, number])[]) {
  const runs = new WriteRuns(node);
  for (const [id, committedMs] of commits) runs.add(id, committedMs);
  return runs.finish();
}

test('a run ends where another writer, or nobody, has the next id', () => {
  const runs = runsOf('a', [
    [2, 10],
    [3, 11],
    [6, 40],
    [7, 41],
  ]);
  assert.deepEqual(runs, [
    { node: 'a', firstId: 2, lastId: 3, firstMs: 10, lastMs: 11 },
    { node: 'a', firstId: 6, lastId: 7, firstMs: 40, lastMs: 41 },
  ]);
  assert.equal(rowsOf(runs), 4);
  assert.deepEqual(runsOf('b', []), []);
});

test('a handoff is clean when the new primary goes on with the next row', () => {
  const there = runsOf('a', [
    [2, 10],
    [3, 11],
    [6, 40],
  ]);
  const back = runsOf('b', [
    [4, 20],
    [5, 21],
  ]);
  const handoffs = handoffsOf([...back, ...there]);
  assert.deepEqual(handoffs, [
    { from: 'a', to: 'b', gapMs: 9, lostRows: 0 },
    { from: 'b', to: 'a', gapMs: 19, lostRows: 0 },
  ]);
  assert.ok(handoffs.every(isClean));
});

test('a row that is written twice was lost, and two that write at once are seen', () => {
  const old = runsOf('a', [
    [2, 10],
    [3, 11],
  ]);
  const [lost] = handoffsOf([...old, ...runsOf('b', [[3, 20]])]);
  assert.deepEqual(lost, { from: 'a', to: 'b', gapMs: 9, lostRows: 1 });
  assert.ok(!isClean(lost));
  const [both] = handoffsOf([...old, ...runsOf('b', [[3, 10.5]])]);
  assert.ok(!isClean(both));
  const [heldUp] = handoffsOf([...old, ...runsOf('b', [[4, 10.5]])]);
  assert.equal(heldUp.gapMs, -0.5);
  assert.ok(isClean(heldUp));
});
