import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../config/load-config.ts';
import { Watched } from '../supervisor/test-support.ts';
import { Startup } from './startup.ts';

type Setting = { readonly watched: Watched; readonly startup: Startup; readonly go: () => void };

/** With one process, a release command and a command of `exec`; the named one of these waits for `go`. */
function create(t: TestContext, slow: 'setup' | 'release'): Setting {
  const directory = mkdtempSync(join(tmpdir(), 'skein-startup-'));
  const watched = new Watched([{ name: 'web', command: 'echo up; exec sleep 60', on: 'all' }]);
  t.after(async () => {
    watched.supervisor.kill('all');
    await watched.supervisor.stop();
    rmSync(directory, { recursive: true });
  });
  const commandOf = (name: string) => {
    const wait = name === slow ? `while [ ! -e ${directory}/go ]; do sleep 0.02; done; ` : '';
    return `echo begun; ${wait}echo done`;
  };
  const env = { SKEIN_APP: 'test', SKEIN_DEPLOY_RELEASE_COMMAND: commandOf('release') };
  const setup = [{ argv: ['sh', '-c', commandOf('setup')], ifCandidate: false }];
  const startup = new Startup({
    config: {
      ...loadConfig({ argv: [], env, cwd: directory }),
      litefs: { promote: false, skipSync: false, exitOnError: true, setup },
    },
    supervisor: watched.supervisor,
    stopping: new AbortController().signal,
    changing: () => undefined,
    promote: () => Promise.resolve(),
    warn: () => undefined,
  });
  return { watched, startup, go: () => writeFileSync(join(directory, 'go'), '') };
}

test('a node that leads while it starts as a replica runs the release command before its processes', async (t) => {
  const { watched, startup, go } = create(t, 'setup');
  const following = startup.setRole('replica');
  await watched.line(/setup: begun/);
  const released = startup.release();
  go();
  await Promise.all([following, released]);
  assert.equal(startup.hasStarted, false);
  await startup.setRole('primary');
  await startup.started;
  await watched.line(/web: up/);
  assert.deepEqual(watched.lines, [
    'setup: begun',
    'setup: done',
    'release: begun',
    'release: done',
    'web: up',
  ]);
  await startup.release();
  assert.equal(watched.lines.length, 5, 'once the processes have started, it does not run again');
});

test('what was asked for before a release command that was killed does not start', async (t) => {
  const { watched, startup } = create(t, 'release');
  const released = startup.release();
  await watched.line(/release: begun/);
  const leading = startup.setRole('primary');
  startup.retract();
  watched.supervisor.kill('primary');
  await assert.rejects(released, { code: 'LEASE_LOST' });
  await leading;
  assert.equal(startup.hasStarted, false);
  await startup.setRole('replica');
  await watched.line(/web: up/);
});

test('a start that was taken back has no effect, and the next one has', async (t) => {
  const { watched, startup, go } = create(t, 'setup');
  const leading = startup.setRole('primary');
  await watched.line(/setup: begun/);
  startup.retract();
  go();
  await leading;
  assert.equal(startup.hasStarted, false);
  await startup.setRole('replica');
  startup.retract();
  assert.equal(startup.hasStarted, true, 'nothing is taken back once it has started');
  await watched.line(/web: up/);
});
