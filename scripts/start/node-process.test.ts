import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { waitFor } from '../../test/support/wait-for.ts';
import { NodeProcess } from './node-process.ts';
import { processTree, signalAll } from './process-tree.ts';

/** A node of which `script` is the program, with its first line of output already in its log. */
async function started(t: TestContext, script: string): Promise<NodeProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'node-process-'));
  const logFile = join(directory, 'skein.log');
  const [port, url] = [1, 'http://127.0.0.1:1'];
  const node = new NodeProcess(
    {
      name: 'ams',
      city: 'Amsterdam',
      apiPort: port,
      apiUrl: url,
      appPort: port,
      appUrl: url,
      innerPort: port,
      dataDirectory: join(directory, 'data'),
      logFile,
    },
    { program: '/bin/sh', parameters: ['-c', script], directory, environment: {} },
  );
  t.after(() => {
    signalAll(node.isRunning && node.pid !== undefined ? processTree(node.pid) : [], 'SIGKILL');
    rmSync(directory, { recursive: true });
  });
  const watcher = watch(directory);
  node.start();
  while (readFileSync(logFile).length === 0) await once(watcher, 'change');
  watcher.close();
  return node;
}

const noHurry = new AbortController().signal;

test('a node that stops on SIGTERM is not killed, and can be started again', async (t) => {
  const node = await started(t, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
  assert.equal(node.isRunning, true);
  assert.equal(await node.stop(noHurry), true);
  assert.equal(node.exit, 'ended with exit code 0');
  const firstPid = node.pid;
  node.start();
  assert.equal(node.isRunning, true);
  assert.notEqual(node.pid, firstPid);
  await node.stop(noHurry);
  assert.equal(node.isRunning, false);
});

test('a node that does not stop is killed as soon as there is a hurry', async (t) => {
  const node = await started(t, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
  assert.equal(await node.stop(AbortSignal.abort()), false);
  assert.equal(node.exit, 'ended by SIGKILL');
});

test('a node that ends by itself says how, and stopping it is no failure', async (t) => {
  const node = await started(t, 'echo failed; exit 3');
  assert.equal(await node.stop(noHurry), true);
  assert.ok(['ended with exit code 3', 'ended by SIGTERM'].includes(node.exit ?? ''), node.exit);
});

/** The state letter of a process; undefined when it is gone. */
function stateOf(pid: number): string | undefined {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) ? readFileSync(path, 'latin1').split(') ')[1]?.[0] : undefined;
}

const withChild = 'setsid sleep 60 & trap "kill $!; exit 0" TERM; echo ready; while :; do sleep 0.05; done';

test('a paused node stands still with all that it started, goes on when asked, and can be stopped while paused', async (t) => {
  const node = await started(t, withChild);
  const tree = processTree(node.pid ?? 0);
  assert.ok(tree.length >= 2);
  node.pause();
  const isAllIn = (state: RegExp): boolean =>
    processTree(node.pid ?? 0).every((pid) => state.test(stateOf(pid) ?? ''));
  // One that ended just before is not collected (Z), and one that had just begun a child waits for its first step (D).
  await waitFor('all of it stands still', () => isAllIn(/[TZD]/));
  assert.equal(node.isPaused, true);
  node.resume();
  await waitFor('all of it goes on', () => isAllIn(/[SRZ]/));
  node.pause();
  assert.equal(await node.stop(noHurry), true);
  assert.equal(node.isPaused, false);
});

test('a node that was killed while paused leaves nothing that stands still', async (t) => {
  const node = await started(t, withChild);
  node.pause();
  const [, ...left] = processTree(node.pid ?? 0);
  node.kill();
  await node.stop(noHurry);
  assert.equal(node.wasKilled, true);
  assert.equal(node.exit, 'ended by SIGKILL');
  await waitFor('what is left goes on', () => left.every((pid) => stateOf(pid) !== 'T'));
  for (const pid of left) if (stateOf(pid) !== undefined) process.kill(pid, 'SIGKILL');
});
