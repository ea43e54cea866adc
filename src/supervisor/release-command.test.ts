import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAlive, Watched } from './test-support.ts';

const never = new AbortController().signal;

test('the release command runs to its end with RELEASE_COMMAND=1 and the environment of the processes', async () => {
  const watched = new Watched([]);
  await watched.supervisor.runRelease('echo "$RELEASE_COMMAND $PORT $SKEIN_PROCESS"', 10_000, never);
  assert.deepEqual(watched.lines, ['release: 1 8080 release']);
  await watched.supervisor.stop();
});

test('a release command that fails says how and with which last lines', async () => {
  const watched = new Watched([]);
  const command = 'i=0; while [ $i -lt 30 ]; do echo "line $i"; i=$((i+1)); done; echo broken >&2; exit 4';
  await assert.rejects(watched.supervisor.runRelease(command, 10_000, never), (error: Error) => {
    assert.ok('code' in error && error.code === 'RELEASE_COMMAND_FAILED');
    assert.match(error.message, /failed with exit code 4, so no process of the app was started/);
    assert.match(error.message, /^ {2}line 29$/m);
    assert.match(error.message, /^ {2}broken$/m);
    assert.doesNotMatch(error.message, /line 5$/m);
    return true;
  });
  await assert.rejects(
    watched.supervisor.runRelease('kill -9 $$', 10_000, never),
    /failed with signal SIGKILL/,
  );
  await assert.rejects(
    watched.supervisor.runRelease('skein-none', 10_000, never),
    /exit code 127.*not found/s,
  );
  await watched.supervisor.stop();
});

test('a release command that takes too long is stopped, with all that it started', async () => {
  const watched = new Watched([], { killTimeoutMs: 200 });
  const command = `trap "" TERM; echo "up $$"; while :; do sleep 1; done`;
  await assert.rejects(watched.supervisor.runRelease(command, 300, never), {
    code: 'RELEASE_COMMAND_FAILED',
    message: /stopped after 300 ms, its time-out/,
  });
  assert.equal(isAlive(await watched.number('up')), false);
  await watched.supervisor.stop();
});

test('an abort, a stop and killNow end the release command', async () => {
  for (const end of ['abort', 'stop', 'killNow'] as const) {
    const watched = new Watched([]);
    const controller = new AbortController();
    const command = 'echo "up $$"; while :; do sleep 1; done';
    const released = watched.supervisor.runRelease(command, 60_000, controller.signal);
    const interrupted = assert.rejects(
      released,
      end === 'killNow'
        ? { code: 'LEASE_LOST', message: /lost the lead/ }
        : { code: 'RELEASE_COMMAND_FAILED', message: /interrupted/ },
    );
    const pid = await watched.number('up');
    if (end === 'abort') controller.abort();
    if (end === 'stop') void watched.supervisor.stop();
    if (end === 'killNow') watched.supervisor.kill('all');
    await interrupted;
    assert.equal(isAlive(pid), false);
    await watched.supervisor.stop();
  }
});

test('commands that come first run one after the other, also after one that was killed', async () => {
  const watched = new Watched([]);
  const { supervisor } = watched;
  const killed = supervisor.runRelease('echo "up $$"; while :; do sleep 1; done', 60_000, never);
  const refused = assert.rejects(killed, { code: 'LEASE_LOST', message: /was killed, .*lost the lead/ });
  const pid = await watched.number('up');
  supervisor.kill('all');
  await supervisor.runRelease(`kill -0 ${pid} 2>&- && echo beside; echo after`, 60_000, never);
  await refused;
  assert.deepEqual(watched.lines.slice(1), ['release: after']);
  await supervisor.stop();
});

test('a loss of the lead ends no setup command, and a release command that waits for one at once', async () => {
  const watched = new Watched([]);
  const { supervisor } = watched;
  const argv = ['sh', '-c', 'echo "up $$"; while :; do sleep 1; done'];
  const stop = new AbortController();
  const setup = supervisor.runSetup(argv, 'Command 1 of exec', stop.signal);
  const interrupted = assert.rejects(setup, { code: 'RELEASE_COMMAND_FAILED' });
  const pid = await watched.number('up');
  const waiting = supervisor.runRelease('echo never', 60_000, never);
  supervisor.kill('all');
  await assert.rejects(waiting, { code: 'LEASE_LOST', message: /was not run, .*lost the lead/ });
  assert.equal(isAlive(pid), true);
  const next = supervisor.runRelease('echo next', 60_000, never);
  stop.abort();
  await Promise.all([interrupted, next]);
  assert.deepEqual(watched.lines.slice(1), ['release: next']);
  await supervisor.stop();
});
