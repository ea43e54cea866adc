import nodeAssert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionFailure, assert } from './assert.ts';

test('a condition that holds passes', () => {
  assert(true, 'never');
  assert(1, 'never');
});

test('a broken invariant throws its message as an AssertionFailure', () => {
  for (const condition of [false, 0, undefined, null, '']) {
    nodeAssert.throws(
      () => assert(condition, 'frame 3 follows frame 1'),
      (error) => error instanceof AssertionFailure && error.message === 'frame 3 follows frame 1',
    );
  }
});
