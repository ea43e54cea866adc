import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LeakCheck, runVariable } from './leak-check.ts';

const skip = process.platform === 'linux' ? false : 'reads /proc';

test('a process with the mark of the run is found and killed', { skip }, async () => {
  const check = new LeakCheck(process.cwd(), 'run-one');
  const child = spawn('sleep', ['60'], { env: { ...process.env, [runVariable]: 'run-one' } });
  const ended = once(child, 'exit');
  assert.deepEqual(await check.killLeaked(0), [{ pid: child.pid, command: 'sleep 60' }]);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('a process of another run is left alone', { skip }, async () => {
  const check = new LeakCheck(process.cwd(), 'run-one');
  const child = spawn('sleep', ['60'], { env: { ...process.env, [runVariable]: 'run-two' } });
  assert.deepEqual(await check.killLeaked(0), []);
  child.kill();
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM']);
});

test('an orphaned node of the checkout is found without the mark', { skip }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'skein-leak-check-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  writeFileSync(join(root, 'src/cli/main.ts'), 'console.log(process.ppid); setTimeout(() => {}, 10_000);');
  const check = new LeakCheck(root, 'run-one');

  // The node tells its parent only after the shell has ended, so that it is an orphan by then.
  const script =
    'shell=$$; (while kill -0 $shell; do sleep 0.01; done; exec "$0" src/cli/main.ts) 2>/dev/null &';
  const shell = spawn('sh', ['-c', script, process.execPath], { cwd: root, env: { PATH: process.env.PATH } });
  const [parentPid] = await once(shell.stdout, 'data');
  if (Number(parentPid) !== 1) t.skip(`process ${Number(parentPid)} adopts orphans here, not process 1`);
  const leaked = await check.killLeaked(0);
  if (Number(parentPid) === 1) {
    assert.deepEqual(
      leaked.map(({ command }) => command),
      [`${process.execPath} src/cli/main.ts`],
    );
  }
});
