import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeProcess } from './node-process.ts';

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
      dataDirectory: join(directory, 'data'),
      logFile,
    },
    { program: '/bin/sh', parameters: ['-c', script], directory, environment: {} },
  );
  t.after(() => {
    node.signal('SIGKILL');
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
