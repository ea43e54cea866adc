import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { loadConfig } from '../config/load-config.ts';
import { withCommand } from './run.ts';

test('a command after -- is the only process, on every node, with its words as they are', () => {
  const env = { SKEIN_PROCESSES_WEB: 'node web.js' };
  const config = withCommand(loadConfig({ argv: [], env, cwd: tmpdir() }), ['node', '-e', "it's $HOME", '']);
  assert.deepEqual(config.processes, [
    {
      name: 'app',
      command: `node -e 'it'\\''s $HOME' ''`,
      argv: ['node', '-e', "it's $HOME", ''],
      on: 'all',
    },
  ]);
});
