import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { isInstalled, missingToolsVariable, skipWithout } from './tools.ts';

const before = process.env[missingToolsVariable];

beforeEach(() => {
  delete process.env[missingToolsVariable];
});

afterEach(() => {
  if (before === undefined) delete process.env[missingToolsVariable];
  else process.env[missingToolsVariable] = before;
});

test('a tool that npm test found missing is a reason to skip, with the command to run', () => {
  process.env[missingToolsVariable] = 'sqlite3';
  assert.equal(skipWithout('sqlite3'), 'sqlite3 is missing, install it with: apt-get install sqlite3');
  assert.equal(skipWithout('python3'), false);
});

test('a test that runs without npm test looks for the tool itself', () => {
  assert.equal(skipWithout('sqlite3') === false, isInstalled('sqlite3'));
});
