import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from './support/free-ports.ts';
import { waitFor } from './support/wait-for.ts';

const skein = resolve(import.meta.dirname, '../bin/skein');

type Running = {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly exit: Promise<unknown[]>;
};

/** A node alone whose standard output is a pipe that the test reads, or not. */
async function start(t: TestContext, ...argv: readonly string[]): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-test-'));
  const [port] = await freePorts(1);
  const child = spawn(skein, ['run', ...argv], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      SKEIN_APP: 'test',
      SKEIN_NODE_NAME: 'alone',
      SKEIN_NODE_REGION: 'ams',
      SKEIN_NODE_LISTEN: `127.0.0.1:${port}`,
      SKEIN_DATABASE_DIR: join(directory, 'data'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exit;
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  return { child, directory, exit };
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

test('a node whose output has no reader any more ends with its own exit code', async (t) => {
  const command = 'echo up > up; while [ ! -e go ]; do sleep 0.05; done; exit 7';
  const { child, directory, exit } = await start(t, '--', 'sh', '-c', command);
  let errors = '';
  child.stderr?.on('data', (text) => {
    errors += text;
  });
  await waitFor('the command to run', () => contentOf(join(directory, 'up')));
  child.stdout?.destroy();
  writeFileSync(join(directory, 'go'), '');
  assert.deepEqual(await exit, [7, null]);
  assert.equal(errors, '');
});

test('a node whose output is not read ends all the same', async (t) => {
  const line = 'x'.repeat(1_000);
  const command = `i=0; while :; do echo ${line}; i=$((i+1)); echo $i > lines; done`;
  const { child, directory, exit } = await start(t, '--', 'sh', '-c', command);
  const count = () => Number(contentOf(join(directory, 'lines')));
  await waitFor('the pipe to be full', async () => {
    const before = count();
    await delay(500);
    return before > 60 && count() === before;
  });
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const [, signal] = await exit;
  clearTimeout(late);
  assert.equal(signal, null, 'it ended by itself');
});
